/** The program as a process: its streams, its exit statuses, and a plan without a node. */

import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { plan } from '../../functions/library.ts'
import packageJSON from '../../package.json' with { type: 'json' }
import { dir, file } from '../support/images/entries.ts'
import { buildImage, digestOf } from '../support/images/image.ts'
import { errorOf, layercast, start } from '../support/layercast.ts'

const REFERENCE = 'docker.io/library/thing:1'
const image = buildImage({ layers: [[dir('etc')], [file('etc/motd', 'hello')]] })
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-program-'))
  await writeFile(join(directory, 'm.json'), image.manifestBytes)
  await writeFile(join(directory, 'c.json'), image.configBytes)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** A command line that plans from files, with some options replaced, or left out where undefined. */
function planning(changed: Record<string, string | undefined> = {}): string[] {
  const options = {
    '--manifest': join(directory, 'm.json'),
    '--config': join(directory, 'c.json'),
    '--reference': REFERENCE,
    '--snapshotter': 'nydus',
    ...changed,
  }
  return ['plan', ...Object.entries(options).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]))]
}

/** Writes a file and gives its path. */
async function made(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

describe('the streams', () => {
  test('help goes to stdout, and a missing verb to stderr with status 2', async () => {
    expect(await layercast(['--help'])).toMatchObject({ status: 0, stderr: '' })
    const none = await layercast([])
    expect([none.status, none.stdout.length]).toEqual([2, 0])
    expect(none.stderr).toContain("fix: Run 'layercast --help'.")
  })

  test('--version is the version of the package', async () => {
    expect((await layercast(['--version'])).stdout.toString()).toBe(`${packageJSON.version}\n`)
  })

  test('an error is a line with its code and a line with what to do; one line of JSON with -o json', async () => {
    const text = await layercast(['plam'])
    expect(text.stderr).toBe(
      "layercast: unknown command 'plam' (Did you mean plan?) (USAGE)\n  fix: Run 'layercast --help'.\n",
    )
    const json = await layercast(['plam', '-o', 'json'])
    expect([json.status, json.stdout.length]).toEqual([2, 0])
    expect(errorOf(json)).toMatchObject({ code: 'USAGE', exit: 2 })
    expect(json.stderr.trimEnd()).not.toContain('\n')
  })

  test('a reader that goes away early is no failure', async () => {
    const child = start(['snapshotter', 'ls', '--profiles', '-o', 'json'])
    child.stdin.end()
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [status] = (await once(child, 'close')) as [number]
    expect([status, stderr]).toEqual([0, ''])
  })

  test('--verbose shows what was beneath an error', async () => {
    const args = planning({ '--config': join(directory, 'none.json') })
    expect((await layercast(args)).stderr).not.toContain('ENOENT')
    expect((await layercast([...args, '--verbose'])).stderr).toContain('ENOENT')
  })
})

describe('a plan with no node and no server', () => {
  test('is the canonical bytes and nothing else, so that their sha256 is its digest', async () => {
    const ran = await layercast([...planning(), '-o', 'json'])
    const expected = plan({
      reference: REFERENCE,
      manifest: image.manifestBytes,
      config: image.configBytes,
      snapshotter: 'nydus',
    })
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect(ran.stdout).toEqual(Buffer.from(expected.bytes))
    expect(digestOf(ran.stdout)).toBe(expected.digest)
  })

  test('as a table shows the layers, the digest and the warnings', async () => {
    const { stdout } = await layercast(planning({ '--snapshotter': 'stargz' }))
    const text = stdout.toString()
    for (const { digest } of image.layers) expect(text).toContain(digest.slice(7, 19))
    expect(text).toMatch(/^plan +sha256:[a-f0-9]{64}$/mu)
    expect(text).toMatch(/^\d+ warnings?$/mu)
  })

  test('takes one of the files from stdin', async () => {
    const whole = await layercast([...planning(), '-o', 'json'])
    const piped = await layercast([...planning({ '--manifest': '-' }), '-o', 'json'], { stdin: image.manifestBytes })
    expect(piped).toEqual(whole)
  })

  test('takes the snapshotter from CONTAINERD_SNAPSHOTTER', async () => {
    const ran = await layercast([...planning({ '--snapshotter': undefined }), '-o', 'json'], {
      env: { CONTAINERD_SNAPSHOTTER: 'erofs' },
    })
    expect(JSON.parse(ran.stdout.toString())).toMatchObject({ snapshotter: 'erofs' })
  })

  test('leaves the cri labels away with --labels off', async () => {
    const ran = await layercast([...planning({ '--labels': 'off', '--snapshotter': 'erofs' }), '-o', 'json'])
    expect(ran.stdout.toString()).not.toContain('cri.image-ref')
  })
})

describe('a signal', () => {
  /** Whether the program listens for signals: SIGHUP, the lowest bit, is one that Node does not catch by itself. */
  const listens = async (pid: number): Promise<boolean> => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    return Number.parseInt(/^SigCgt:.*([0-9a-f])$/mu.exec(status)?.[1] ?? '0', 16) % 2 === 1
  }

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s ends a program that waits for its stdin, with status %d and a word about it',
    async (name, status) => {
      const child = start(['apply', '-', '-o', 'json', '--root', join(directory, 'node')])
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      const ended = once(child, 'close')
      await expect.poll(() => listens(child.pid ?? 0)).toBe(true)
      child.kill(name)
      expect([...(await ended), JSON.parse(stderr)]).toEqual([
        status,
        null,
        {
          error: expect.objectContaining({
            code: 'ABORTED',
            exit: status,
            fix: expect.any(String) as string,
          }) as object,
        },
      ])
    },
  )
})

describe('bad input has its own code and status', () => {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
  const manifest = text(image.manifestBytes)
  const config = text(image.configBytes)
  const other = text(buildImage({ layers: [[file('x')]] }).configBytes)

  /** A manifest that names this config, valid or not. */
  const naming = (content: string, mediaType = image.config.mediaType): string =>
    JSON.stringify({
      ...JSON.parse(manifest),
      config: { mediaType, digest: digestOf(content), size: Buffer.byteLength(content) },
    })
  const broken = (change: (config: Record<string, unknown>) => unknown): string =>
    JSON.stringify(change(JSON.parse(config) as Record<string, unknown>))

  const short = broken((given) => ({ ...given, rootfs: { type: 'layers', diff_ids: image.diffIDs.slice(1) } }))
  const untrue = broken((given) => ({ ...given, rootfs: { type: 'layers', diff_ids: ['sha256:00', 'sha256:01'] } }))
  const typeless = broken((given) => ({ ...given, rootfs: 7 }))
  const DOCUMENTS: [title: string, manifest: string, config: string, code: string, status: number][] = [
    ['no JSON', '{', config, 'JSON_INVALID', 2],
    ['bytes after the document', `${manifest}x`, config, 'JSON_TRAILING_BYTES', 2],
    ['a key twice', manifest.replace('{', '{"schemaVersion":2,'), config, 'JSON_DUPLICATE_KEY', 2],
    ['a document that is too deep', '['.repeat(100_000), config, 'JSON_TOO_DEEP', 2],
    ['a schema 1 manifest', '{"schemaVersion":1,"name":"x","fsLayers":[]}', config, 'MANIFEST_SCHEMA1', 2],
    ['an index for a manifest', text(image.indexBytes), config, 'MANIFEST_IS_INDEX', 2],
    [
      'a field of the wrong type',
      manifest.replace('"layers":[', '"layers":{"x":[').replace(/\]\}$/u, ']}}'),
      config,
      'DOCUMENT_FIELD_INVALID',
      2,
    ],
    [
      'a digest that is none',
      manifest.replace(image.layers[0]?.digest ?? '', 'sha256:xyz'),
      config,
      'DIGEST_INVALID',
      2,
    ],
    ['a config that the manifest does not name', manifest, other, 'DIGEST_MISMATCH', 5],
    ['fewer diff IDs than layers', naming(short), short, 'LAYERS_DIFFIDS_MISMATCH', 2],
    ['a diff ID that is none', naming(untrue), untrue, 'DIGEST_INVALID', 2],
    ['a rootfs of the wrong type', naming(typeless), typeless, 'DOCUMENT_FIELD_INVALID', 2],
  ]
  test.each(DOCUMENTS)('%s', async (title, badManifest, badConfig, code, status) => {
    const name = title.replaceAll(' ', '-')
    const files = {
      '--manifest': await made(`${name}-m.json`, badManifest),
      '--config': await made(`${name}-c.json`, badConfig),
    }
    const ran = await layercast([...planning(files), '-o', 'json'])
    expect(errorOf(ran)).toMatchObject({ code, exit: status, fix: expect.any(String) as string })
    expect([ran.status, ran.stdout.length]).toEqual([status, 0])
  })

  const OPTIONS: [title: string, changed: Record<string, string | undefined>, code: string, status: number][] = [
    ['a file that is not there', { '--manifest': '/nowhere/m.json' }, 'FILE_NOT_FOUND', 3],
    ['a directory for a file', { '--manifest': '/' }, 'USAGE', 2],
    ['both files from stdin', { '--manifest': '-', '--config': '-' }, 'USAGE', 2],
    ['one file of two', { '--config': undefined }, 'USAGE', 2],
    ['no reference', { '--reference': undefined }, 'USAGE', 2],
    ['no snapshotter', { '--snapshotter': undefined }, 'USAGE', 2],
    ['a reference that is none', { '--reference': 'UPPER CASE' }, 'REFERENCE_INVALID', 2],
    ['a snapshotter that is none', { '--snapshotter': 'a/b' }, 'SNAPSHOTTER_INVALID', 2],
    ['a profile that there is not', { '--profile': 'nodus' }, 'PROFILE_UNKNOWN', 3],
    ['a platform that is none', { '--platform': 'linux//' }, 'PLATFORM_INVALID', 2],
    ['a platform that the image is not for', { '--platform': 'windows/amd64' }, 'PLATFORM_MISMATCH', 2],
    ['labels that the snapshotter cannot do without', { '--labels': 'off' }, 'PLAN_LABEL_REQUIRED', 2],
    ['a server that is not there', { '--server': 'http://127.0.0.1:9' }, 'SERVER_UNREACHABLE', 4],
    ['a server that is no address', { '--server': 'there' }, 'USAGE', 2],
    [
      'a token file that is not there',
      { '--server': 'http://127.0.0.1:9', '--token': '@/nowhere' },
      'FILE_NOT_FOUND',
      3,
    ],
  ]
  test.each(OPTIONS)('%s', async (_, changed, code, status) => {
    const ran = await layercast([...planning(changed), '-o', 'json'])
    expect(errorOf(ran)).toMatchObject({ code, exit: status, fix: expect.any(String) as string })
    expect([ran.status, ran.stdout.length]).toEqual([status, 0])
  })

  test.each(['--manifest', '--config'])('where %s is not given, that is what is told', async (flag) => {
    expect((await layercast(planning({ [flag]: undefined }))).stderr).toMatch(`and ${flag} is not`)
  })

  const LINES: [title: string, args: string[], code: string, status: number][] = [
    ['an image and files', ['plan', 'nginx', '--manifest', 'm.json', '-s', 'x'], 'USAGE', 2],
    ['a containerd that is not there', ['image', 'ls', '--address', '/nowhere.sock'], 'CONTAINERD_UNREACHABLE', 4],
    ['a root and an address', ['image', 'ls', '--address', '/x', '--root', '/y'], 'USAGE', 2],
    ['an operator without a token', ['node', 'ls', '--server', 'http://127.0.0.1:9'], 'TOKEN_MISSING', 1],
    ['a fleet verb without a server', ['node', 'ls'], 'USAGE', 2],
    [
      'a time that is none',
      ['join-token', 'create', '--server', 'http://127.0.0.1:9', '--token', 'x', '--ttl', 'soon'],
      'USAGE',
      2,
    ],
    ['a port that is none', ['serve', '--port', '70000'], 'USAGE', 2],
    [
      'an assignment without a selector',
      ['assign', 'x', '-s', 'y', '--server', 'http://127.0.0.1:9', '--token', 'x'],
      'USAGE',
      2,
    ],
    [
      'an assignment with an empty selector',
      ['assign', 'x', '-s', 'y', '--server', 'http://127.0.0.1:9', '--token', 'x', '--selector', ''],
      'SELECTOR_INVALID',
      2,
    ],
    // A mistyped option is told before a node that cannot be reached.
    [
      'an interval that is none',
      ['agent', '--server', 'http://127.0.0.1:9', '--interval', 'soon', '--address', '/nowhere.sock'],
      'USAGE',
      2,
    ],
    ['an import of what is no source', ['image', 'import', 'nginx'], 'USAGE', 2],
    ['an empty plan', ['apply', '-'], 'JSON_INVALID', 2],
  ]
  test.each(LINES)('%s', async (_, args, code, status) => {
    const ran = await layercast([...args, '-o', 'json'])
    expect(errorOf(ran)).toMatchObject({ code, exit: status })
    expect([ran.status, ran.stdout.length]).toEqual([status, 0])
  })
})
