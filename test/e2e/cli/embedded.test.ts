/** The verbs with the embedded backend. */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { wholeTree } from '../../node/embedded/whole-tree.ts'
import { smallImage, withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { all } from '../../support/all.ts'
import { file as fileOf } from '../../support/images/entries.ts'
import { buildImage, digestOf } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout } from '../../support/images/write.ts'
import { errorOf, LAUNCHER, layercast, start, type Ran, type RunOptions } from '../../support/layercast.ts'

const NAME = 'example.com/embedded:1'
const isRoot = process.getuid?.() === 0

describe.skipIf(!isRoot)('layercast with no containerd (as root)', () => {
  const image = smallImage('embedded')
  let directory: string
  let source: string
  let root: string
  let count = 0

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-embedded-'))
    source = `oci:${join(directory, 'layout')}`
    await writeOciLayout(image, join(directory, 'layout'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))
  beforeEach(() => {
    root = join(directory, `node-${++count}`)
  })

  const run = (args: string[], options: RunOptions = {}): Promise<Ran> => layercast([...args, '--root', root], options)
  const unpacked = async (): Promise<void> => {
    const ran = await run(['unpack', source, '-s', 'overlayfs', '--reference', NAME])
    expect([ran.status, ran.stderr]).toEqual([0, ''])
  }
  /** All that the node has. */
  const nodeState = async (): Promise<unknown> => {
    const backend = await openEmbedded({ root })
    try {
      return {
        snapshots: await all(backend.snapshotter('overlayfs').list()),
        content: await all(backend.content.list()),
        images: await all(backend.images.list()),
        leases: await all(backend.leases.list()),
      }
    } finally {
      await backend.close()
    }
  }
  const EMPTY = { snapshots: [], content: [], images: [], leases: [] }

  test.each(['oci:', 'oci-archive:', 'docker-archive:'])(
    'makes an image from %s ready, and verifies it',
    async (kind) => {
      const path = join(directory, kind.replace(':', ''))
      if (kind === 'oci:') await writeOciLayout(image, path)
      else if (kind === 'oci-archive:') await writeOciArchive(image, path)
      else await writeDockerArchive(image, path)
      const dry = await run(['unpack', kind + path, '-s', 'overlayfs', '--reference', NAME, '--dry-run'])
      expect([dry.status, dry.stderr, await nodeState()]).toEqual([0, '', EMPTY])

      const ran = await run(['unpack', kind + path, '-s', 'overlayfs', '--reference', NAME, '-o', 'json'])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      expect(JSON.parse(ran.stdout.toString())).toMatchObject({
        reference: NAME,
        chainID: image.chainIDs.at(-1),
        layers: image.layers.map(() => ({ state: 'applied' })),
      })
      expect((await run(['verify', NAME, '-s', 'overlayfs'])).status).toBe(0)
      expect(JSON.parse((await run(['image', 'ls', '-o', 'json'])).stdout.toString())).toMatchObject([{ name: NAME }])
    },
  )

  test('plans, applies and finds it ready by the name that it has now', async () => {
    expect((await run(['image', 'import', source, '--reference', NAME])).status).toBe(0)
    const planned = await run(['plan', NAME, '-s', 'overlayfs', '-o', 'json'])
    const straight = await layercast(['plan', source, '-s', 'overlayfs', '--reference', NAME, '-o', 'json'])
    expect(planned.stdout).toEqual(straight.stdout)
    const file = join(directory, 'plan.json')
    await writeFile(file, planned.stdout)
    expect(JSON.parse((await run(['apply', file, '-o', 'json'])).stdout.toString())).toMatchObject({
      plan: digestOf(planned.stdout),
      ready: false,
    })
    expect((await run(['unpack', NAME, '-s', 'overlayfs'])).stdout.toString()).toContain('it was ready before')
  })

  test('lists, draws and removes snapshots', async () => {
    await unpacked()
    const tree = (await run(['snapshot', 'tree', '--usage'])).stdout.toString().split('\n')
    expect(tree[0]).toBe('overlayfs')
    expect(tree.slice(1, 4).map((line) => /sha256:\w+/u.exec(line)?.[0])).toEqual(image.chainIDs)
    const [, middle = ''] = image.chainIDs
    expect(errorOf(await run(['snapshot', 'rm', '-s', 'overlayfs', middle, '-o', 'json'])).code).toBe(
      'FAILED_PRECONDITION',
    )
    expect((await run(['snapshot', 'rm', '-s', 'overlayfs', '-r', middle])).status).toBe(0)
    const left = JSON.parse((await run(['snapshot', 'ls', '-o', 'json'])).stdout.toString()) as { name: string }[]
    expect(left.map(({ name }) => name)).toEqual(image.chainIDs.slice(0, 1))

    expect((await run(['verify', NAME, '-s', 'overlayfs'])).status).toBe(5)
    expect((await run(['unpack', NAME, '-s', 'overlayfs'])).status).toBe(0)
    expect((await run(['verify', NAME, '-s', 'overlayfs'])).status).toBe(0)
  })

  test('works under a root whose path overlayfs must have escaped', async () => {
    root = join(directory, String.raw`a,b:c\d`)
    await unpacked()
    const deep = await run(['verify', NAME, '-s', 'overlayfs', '--deep', '--contents'])
    expect([deep.status, deep.stderr]).toEqual([0, ''])
    const tree = (await run(['snapshot', 'tree', '--usage'])).stdout.toString().split('\n')
    expect(tree.slice(1, 4).map((line) => /sha256:\w+/u.exec(line)?.[0])).toEqual(image.chainIDs)
  })

  test('a layer that is not what the config says leaves nothing that is half done', async () => {
    const wrong = withWrongDiffID(image, 1)
    await writeOciLayout(wrong, join(directory, 'wrong'))
    const ran = await run(['unpack', `oci:${join(directory, 'wrong')}`, '-s', 'overlayfs', '-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([5, 'DIFF_ID_MISMATCH'])
    const { snapshots, leases } = (await nodeState()) as { snapshots: { kind: string }[]; leases: unknown[] }
    expect([leases, snapshots.filter(({ kind }) => kind !== 'committed')]).toEqual([[], []])
  })

  test('a blob that was changed on its way is refused, and nothing is kept of it', async () => {
    const bent = join(directory, 'bent')
    await cp(join(directory, 'layout'), bent, { recursive: true })
    const [, layer] = image.layers
    const blob = join(bent, 'blobs', (layer?.digest ?? '').replace(':', '/'))
    const bytes = await readFile(blob)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(blob, bytes)
    const ran = await run(['unpack', `oci:${bent}`, '-s', 'overlayfs', '-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([5, 'DIGEST_MISMATCH'])
    expect(await nodeState()).toMatchObject({ snapshots: [], images: [], leases: [] })
  })

  test.each([
    ['an image that cannot be planned', ['unpack', NAME, '-s', 'a/b'], 'IMAGE_NOT_FOUND', 3],
    ['a name that is none', ['unpack', 'A//B', '-s', 'overlayfs'], 'REFERENCE_INVALID', 2],
    [
      'a platform that the image is not for',
      ['unpack', 'SOURCE', '-s', 'overlayfs', '--platform', 'windows/amd64'],
      'PLATFORM_MISMATCH',
      2,
    ],
    ['a snapshotter that is not there', ['unpack', 'SOURCE', '-s', 'native'], 'SNAPSHOTTER_NOT_FOUND', 3],
    ['a snapshotter that is none', ['unpack', 'SOURCE', '-s', 'a/b'], 'SNAPSHOTTER_INVALID', 2],
    ['a profile that is none', ['unpack', 'SOURCE', '-s', 'overlayfs', '--profile', 'x'], 'PROFILE_UNKNOWN', 3],
    ['a source that is not there', ['unpack', 'oci-archive:/nowhere', '-s', 'overlayfs'], 'FILE_NOT_FOUND', 3],
  ])('%s changes nothing', async (_, args, code, status) => {
    const ran = await run([...args.map((arg) => (arg === 'SOURCE' ? source : arg)), '-o', 'json'])
    expect([ran.status, errorOf(ran).code, ran.stdout.length]).toEqual([status, code, 0])
    expect(await nodeState()).toEqual(EMPTY)
  })

  test('two at once on one image both end well', async () => {
    const both = await Promise.all([1, 2].map(() => run(['unpack', source, '-s', 'overlayfs', '--reference', NAME])))
    expect(both.map(({ status, stderr }) => [status, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    expect((await run(['verify', NAME, '-s', 'overlayfs'])).status).toBe(0)
    expect(await nodeState()).toMatchObject({ leases: [] })
  })

  test('one that was killed is taken up by the next', async () => {
    const child = start(['unpack', source, '-s', 'overlayfs', '--reference', NAME, '--verbose', '--root', root])
    child.stdin.end()
    const ended = new Promise((resolve) => {
      child.on('close', resolve)
    })
    await new Promise((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        if (chunk.includes('layer 1')) resolve(undefined)
      })
    })
    child.kill('SIGKILL')
    await ended
    await unpacked()
    expect((await run(['verify', NAME, '-s', 'overlayfs'])).status).toBe(0)
    expect(await nodeState()).toMatchObject({ leases: [] })
    expect(await readdir(join(root, 'trash'))).toEqual([])
  })

  test("a directory that is not layercast's is refused by every verb, and stays as it is", async () => {
    const layout = join(directory, 'precious')
    await cp(join(directory, 'layout'), layout, { recursive: true })
    const before = wholeTree(layout)
    for (const args of [
      ['unpack', 'oci:.', '-s', 'overlayfs'],
      ['image', 'import', 'oci:.'],
      ['image', 'ls'],
      ['snapshot', 'ls'],
      ['snapshot', 'tree'],
      ['snapshotter', 'ls'],
      ['content', 'ls'],
      ['content', 'check'],
      ['verify', NAME, '-s', 'overlayfs'],
      ['repair', NAME, '-s', 'overlayfs'],
      ['root', 'rebuild'],
    ]) {
      const ran = await layercast([...args, '--root', '.', '-o', 'json'], { cwd: layout })
      expect([args, ran.status, errorOf(ran).code]).toEqual([args, 2, 'ROOT_FOREIGN'])
    }
    expect(wholeTree(layout)).toEqual(before)
  })

  test.each(['rw', 'ro'])('verbs that look change nothing, and work on a read-only disk: %s', async (mode) => {
    await unpacked()
    // A directory without a snapshot, which a verb that changes the root would clear away.
    await mkdir(join(root, 'snapshots/77'))
    const at = `${root}-${mode}`
    await mkdir(at)
    const call = promisify(execFile)
    await call('mount', ['--bind', root, at])
    try {
      await call('mount', ['-o', `remount,${mode},bind`, at])
      const before = wholeTree(root)
      for (const args of [
        ['image', 'ls'],
        ['snapshot', 'ls', '--usage'],
        ['snapshot', 'tree'],
        ['snapshotter', 'ls'],
        ['content', 'ls'],
        ['content', 'check'],
        ['content', 'rm', '--force', '--dry-run', image.config.digest],
        ['plan', NAME, '-s', 'overlayfs'],
        ['unpack', NAME, '-s', 'overlayfs', '--dry-run'],
        ['unpack', source, '-s', 'overlayfs', '--reference', NAME, '--dry-run'],
        ['verify', NAME, '-s', 'overlayfs'],
        ['verify', NAME, '-s', 'overlayfs', '--deep', '--contents'],
        ['verify', '--all', '--deep'],
        ['repair', NAME, '-s', 'overlayfs', '--dry-run'],
        ['repair', NAME, '-s', 'overlayfs', '--dry-run', '--deep'],
        ['snapshot', 'rm', '-s', 'overlayfs', image.chainIDs.at(-1) ?? '', '--dry-run'],
        ['root', 'rebuild'],
        ['version'],
      ]) {
        const ran = await layercast([...args, '--root', at])
        expect([args, ran.status, ran.stderr]).toEqual([args, 0, ''])
      }
      expect(wholeTree(root)).toEqual(before)
      if (mode === 'rw') return
      const ran = await layercast(['image', 'import', source, '--reference', NAME, '--root', at, '-o', 'json'])
      expect([ran.status, errorOf(ran).code]).toEqual([1, 'SYSTEM_CALL_FAILED'])
      expect(wholeTree(root)).toEqual(before)
    } finally {
      await call('umount', [at])
    }
  })

  test('a database that is not whole stops every verb, and `root rebuild` makes it again', async () => {
    await unpacked()
    await writeFile(join(root, 'layercast.db'), '')
    const before = wholeTree(root)
    for (const args of [
      ['image', 'ls'],
      ['verify', NAME, '-s', 'overlayfs'],
      ['unpack', source, '-s', 'overlayfs'],
    ]) {
      const ran = await run([...args, '-o', 'json'])
      expect([args, ran.status, errorOf(ran)]).toMatchObject([
        args,
        1,
        { code: 'DATABASE_DAMAGED', fix: expect.stringContaining(`layercast root rebuild --root ${root}`) as string },
      ])
    }
    expect((await run(['root', 'rebuild', '--dry-run'])).stdout.toString()).toContain('would recover')
    expect(wholeTree(root)).toEqual(before)
    const rebuilt = await run(['root', 'rebuild'])
    expect([rebuilt.status, rebuilt.stderr]).toEqual([0, ''])
    expect(rebuilt.stdout.toString()).toContain('1 image, 5 blobs, 3 snapshots')
    expect((await run(['verify', NAME, '-s', 'overlayfs', '--deep', '--contents'])).status).toBe(0)
    expect((await run(['unpack', NAME, '-s', 'overlayfs'])).stdout.toString()).toContain('it was ready before')
  })

  test.each(['unpack', 'repair', 'repair --deep'])(
    'a snapshot whose directory is gone is named, and made again by %s',
    async (way) => {
      await unpacked()
      await rm(join(root, 'snapshots/2'), { recursive: true })
      const [, middle = '', top = ''] = image.chainIDs
      for (const deep of [[], ['--deep']]) {
        const ran = await run(['verify', NAME, '-s', 'overlayfs', ...deep, '-o', 'json'])
        expect([ran.status, errorOf(ran).code]).toEqual([5, 'VERIFICATION_FAILED'])
        const { layers } = JSON.parse(ran.stdout.toString()) as {
          layers: { chainID: string; problems: { code: string }[] }[]
        }
        expect(layers.flatMap(({ chainID, problems }) => problems.map(({ code }) => [chainID, code]))).toEqual([
          [middle, 'SNAPSHOT_MISSING'],
          [top, 'SNAPSHOT_MISSING'],
        ])
      }
      expect((await run(['verify', '--all'])).status).toBe(5)
      expect((await run(['snapshot', 'tree'])).stdout.toString()).toContain(
        `${middle}  committed, its directory is lost`,
      )
      const dry = await run(['unpack', NAME, '-s', 'overlayfs', '--dry-run', '-o', 'json'])
      expect(JSON.parse(dry.stdout.toString())).toMatchObject({ ready: false })
      const [verb = '', ...rest] = way.split(' ')
      const ran = await run([verb, NAME, '-s', 'overlayfs', ...rest])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      expect((await run(['verify', NAME, '-s', 'overlayfs', '--deep', '--contents'])).status).toBe(0)
      expect(await readdir(join(root, 'snapshots'))).toEqual(['1', '2', '3'])
    },
  )

  test('an unpack that fills the disk says which, and gives the half layer back', async () => {
    await mkdir(root)
    const call = promisify(execFile)
    await call('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', root])
    try {
      // The blob has 2 MB, which fit; its files have 10 MB, which do not.
      const big = buildImage({
        layers: [[fileOf('big', randomBytes(2 << 20)), fileOf('bigger', Buffer.alloc(8 << 20, 'x'))]],
        compression: ['gzip'],
      })
      await writeOciLayout(big, join(directory, 'big'))
      expect((await run(['image', 'import', `oci:${join(directory, 'big')}`, '--reference', NAME])).status).toBe(0)
      const free = async (): Promise<number> => {
        const { bavail, bsize } = await statfs(root)
        return bavail * bsize
      }
      const before = await free()
      const ran = await run(['unpack', NAME, '-s', 'overlayfs', '-o', 'json'])
      expect([ran.status, errorOf(ran)]).toMatchObject([
        1,
        {
          code: 'SYSTEM_CALL_FAILED',
          message: expect.stringContaining(`the disk that holds ${root} is full`) as string,
        },
      ])
      expect(await free()).toBeGreaterThan(before - 200_000)
      expect(await readdir(join(root, 'snapshots'))).toEqual([])
      expect(await nodeState()).toMatchObject({ snapshots: [], leases: [] })
    } finally {
      await call('umount', [root])
    }
  })

  test('draws bars on a terminal, and ends a plan there with a newline', async () => {
    // script(1) gives the program a terminal, and its file what the program wrote there.
    const onTerminal = async (args: string): Promise<string> => {
      const file = join(directory, 'typescript')
      await promisify(execFile)('script', ['-qefc', `${LAUNCHER} ${args} --root ${root}`, file])
      return readFile(file, 'utf8')
    }
    const drawn = await onTerminal(`unpack ${source} -s overlayfs --reference ${NAME}`)
    expect(drawn).toMatch(/layer 3\/3 \w{12} +applied +█{24}/u)
    expect(drawn).toContain('imported')
    const planned = await onTerminal(`plan ${NAME} -s overlayfs -o json`)
    expect(planned).toMatch(/"warnings":\[\]\}\r?\n/u)
  })
})
