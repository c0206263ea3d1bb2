/** The verbs with a real containerd. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { smallImage, withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { digestOf, type BuiltImage } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout } from '../../support/images/write.ts'
import { errorOf, layercast, start, type Ran, type RunOptions } from '../../support/layercast.ts'

const NAME = 'example.com/cli:1'
const CRI = ['image-ref', 'manifest-digest', 'layer-digest', 'image-layers'].map(
  (key) => `containerd.io/snapshot/cri.${key}`,
)

await describeContainerd('layercast on a node', (version) => {
  let containerd: TestContainerd
  let directory: string
  let image: BuiltImage

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-cli-'))
    containerd = await startContainerd({ version, namespace: 'cli' })
    image = smallImage(`cli ${version}`)
    await bring(image, NAME, 'overlayfs')
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const run = (args: string[], options: RunOptions = {}): Promise<Ran> =>
    layercast(args, { ...options, env: { ...containerd.env, ...options.env } })

  async function bring(built: BuiltImage, name: string, snapshotter?: string): Promise<void> {
    const [base = '', tag = ''] = name.split(':')
    const file = join(directory, 'image.tar')
    await writeOciArchive(built, file, { ref: tag })
    await containerd.importArchive(file, { baseName: base, ...(snapshotter !== undefined && { snapshotter }) })
  }

  /** All that the node has, which a verb that changes nothing must leave as it is. */
  async function nodeState(): Promise<unknown> {
    const backend = await containerd.connect()
    const snapshotters = ['overlayfs', 'native'].map(async (name) => all(backend.snapshotter(name).list()))
    return {
      snapshots: await Promise.all(snapshotters),
      content: (await all(backend.content.list())).sort((one, other) => (one.digest < other.digest ? -1 : 1)),
      images: await all(backend.images.list()),
      leases: await all(backend.leases.list()),
    }
  }

  test('image ls lists what ctr lists', async () => {
    const ran = await run(['image', 'ls', '-o', 'json'])
    const listed = JSON.parse(ran.stdout.toString()) as { name: string; target: { digest: string } }[]
    expect(listed.map(({ name }) => name)).toEqual([NAME])
    expect((await run(['image', 'ls'])).stdout.toString()).toContain(NAME)
    expect(await containerd.ctr('images', 'ls')).toContain(listed[0]?.target.digest)
  })

  test('a dry run says what would happen and changes nothing', async () => {
    const before = await nodeState()
    const ran = await run(['unpack', NAME, '--snapshotter', 'native', '--dry-run', '-o', 'json'])
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    const report = JSON.parse(ran.stdout.toString()) as {
      ready: boolean
      layers: { snapshot: string; blob: { there: boolean } }[]
    }
    expect(report.ready).toBe(false)
    expect(report.layers.map(({ snapshot, blob }) => [snapshot, blob.there])).toEqual(
      image.layers.map(() => ['missing', true]),
    )
    expect(await nodeState()).toEqual(before)
  })

  test('verify says that nothing is there yet, with status 5', async () => {
    const ran = await run(['verify', NAME, '-s', 'native', '-o', 'json'])
    expect(ran.status).toBe(5)
    expect(errorOf(ran)).toMatchObject({ code: 'VERIFICATION_FAILED', exit: 5 })
  })

  test('an image that is there for overlayfs is made ready under native, and ctr shows the labels', async () => {
    const ran = await run(['unpack', NAME], { env: { CONTAINERD_SNAPSHOTTER: 'native' } })
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect(ran.stdout.toString()).toContain('unpacked')

    for (const [index, chainID] of image.chainIDs.entries()) {
      const info = JSON.parse(await containerd.ctr('snapshots', '--snapshotter', 'native', 'info', chainID)) as {
        Kind: string
        Parent?: string
        Labels: Record<string, string>
      }
      expect(info.Kind).toBe('Committed')
      expect(info.Parent ?? '').toBe(index === 0 ? '' : image.chainIDs[index - 1])
      expect(Object.keys(info.Labels)).toEqual(expect.arrayContaining([...CRI, 'containerd.io/snapshot.ref']))
      expect(info.Labels['containerd.io/snapshot/cri.layer-digest']).toBe(image.layers[index]?.digest)
      expect(info.Labels['containerd.io/snapshot/cri.image-ref']).toBe(NAME)
    }
    expect(await containerd.ctr('leases', 'ls', '-q')).toBe('')
    const verified = await run(['verify', NAME, '-s', 'native'])
    expect([verified.status, verified.stderr]).toEqual([0, ''])
  })

  test('a second unpack finds it ready and changes nothing', async () => {
    const before = await nodeState()
    const ran = await run(['unpack', NAME, '-s', 'native', '-o', 'json'])
    expect(JSON.parse(ran.stdout.toString())).toMatchObject({
      ready: true,
      layers: image.layers.map(() => ({ state: 'exists' })),
    })
    expect(await nodeState()).toEqual(before)
  })

  test('verify names the label that someone changed', async () => {
    const [chainID = ''] = image.chainIDs
    await containerd.ctr('snapshots', '--snapshotter', 'native', 'label', chainID, `${CRI[0]}=other`)
    const ran = await run(['verify', NAME, '-s', 'native'])
    expect(ran.status).toBe(5)
    expect(ran.stdout.toString()).toContain(`cri.image-ref is other, not ${NAME}`)
    await containerd.ctr('snapshots', '--snapshotter', 'native', 'label', chainID, `${CRI[0]}=${NAME}`)
    expect((await run(['verify', NAME, '-s', 'native'])).status).toBe(0)
  })

  test('the plan of an image on the node is its canonical bytes, the same as from its files', async () => {
    const [manifest, config] = [join(directory, 'm.json'), join(directory, 'c.json')]
    await writeFile(manifest, image.manifestBytes)
    await writeFile(config, image.configBytes)
    const here = await run(['plan', NAME, '-s', 'nydus', '-o', 'json'])
    const files = await layercast([
      'plan',
      '--manifest',
      manifest,
      '--config',
      config,
      '--reference',
      NAME,
      '-s',
      'nydus',
      '-o',
      'json',
    ])
    expect([here.status, here.stderr]).toEqual([0, ''])
    expect(here.stdout).toEqual(files.stdout)
    expect((await run(['plan', NAME, '-s', 'nydus'])).stdout.toString()).toContain(digestOf(here.stdout))
  })

  test('a plan is applied from a file and from stdin', async () => {
    const { stdout } = await run(['plan', NAME, '-s', 'overlayfs', '-o', 'json'])
    const file = join(directory, 'plan.json')
    await writeFile(file, stdout)
    expect(JSON.parse((await run(['apply', file, '-o', 'json'])).stdout.toString())).toMatchObject({
      snapshotter: 'overlayfs',
    })
    const again = await run(['apply', '-', '--dry-run'], { stdin: stdout })
    expect([again.status, again.stderr]).toEqual([0, ''])
  })

  test('snapshots are listed, drawn and removed from the top down', async () => {
    const listed = JSON.parse((await run(['snapshot', 'ls', '-s', 'native', '-o', 'json'])).stdout.toString()) as {
      name: string
    }[]
    expect(listed.map(({ name }) => name).sort()).toEqual([...image.chainIDs].sort())
    const tree = (await run(['snapshot', 'tree', '-s', 'native', '--labels'])).stdout.toString()
    expect(tree).toContain(`   └─ ${image.chainIDs[1]}`)
    expect(tree).toContain(`cri.image-ref=${NAME}`)

    const [bottom = ''] = image.chainIDs
    const before = await nodeState()
    const refused = await run(['snapshot', 'rm', '-s', 'native', bottom, '-o', 'json'])
    expect([refused.status, errorOf(refused).code]).toEqual([1, 'FAILED_PRECONDITION'])
    const dry = await run(['snapshot', 'rm', '-s', 'native', '--recursive', '--dry-run', bottom, '-o', 'json'])
    expect(JSON.parse(dry.stdout.toString())).toMatchObject({ removed: image.chainIDs.toReversed(), dryRun: true })
    expect(await nodeState()).toEqual(before)

    const removed = await run(['snapshot', 'rm', '-s', 'native', '-r', bottom])
    expect([removed.status, removed.stderr]).toEqual([0, ''])
    expect(await containerd.ctr('snapshots', '--snapshotter', 'native', 'ls')).not.toContain('sha256:')
  })

  test.each(['containerd', 'own'])('the applier %s makes the same chain', async (applier) => {
    const ran = await run(['unpack', NAME, '-s', 'native', '--applier', applier])
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect((await run(['verify', NAME, '-s', 'native'])).status).toBe(0)
    await run(['snapshot', 'rm', '-s', 'native', '-r', image.chainIDs[0] ?? ''])
  })

  test.each(['oci:', 'oci-archive:', 'docker-archive:'])(
    'an image from %s is imported and made ready',
    async (kind) => {
      const built = smallImage(`${kind} ${version}`)
      const path = join(directory, kind.replace(':', ''))
      if (kind === 'oci:') await writeOciLayout(built, path, { ref: 'latest' })
      else if (kind === 'oci-archive:') await writeOciArchive(built, path, { ref: 'latest' })
      else await writeDockerArchive(built, path)
      const name = `example.com/from-${kind.replace(':', '')}:1`
      const before = await nodeState()
      const dry = await run(['unpack', kind + path, '-s', 'native', '--reference', name, '--dry-run'])
      expect([dry.status, dry.stderr]).toEqual([0, ''])
      expect(await nodeState()).toEqual(before)

      const ran = await run(['unpack', kind + path, '-s', 'native', '--reference', name])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      expect(await containerd.ctr('images', 'ls', '-q')).toContain(name)
      expect((await run(['verify', name, '-s', 'native'])).status).toBe(0)
    },
  )

  test('snapshotter ls says which are ready and what each needs', async () => {
    const ran = await run(['snapshotter', 'ls', '-o', 'json'])
    const listed = JSON.parse(ran.stdout.toString()) as { name: string; profile: string; error?: string }[]
    expect(listed).toContainEqual(expect.objectContaining({ name: 'native', profile: 'native' }))
    expect(listed.find(({ name }) => name === 'native')?.error).toBeUndefined()
  })

  test('version names the daemon', async () => {
    expect((await run(['version'])).stdout.toString()).toMatch(
      new RegExp(`backend +containerd v?${version.replace('.', '\\.')}`, 'u'),
    )
  })

  test('an interrupt leaves nothing half done', async () => {
    const child = start(['unpack', NAME, '-s', 'native', '--verbose'], { env: containerd.env })
    child.stdin.end()
    const ended = new Promise<number | null>((resolve) => {
      child.on('close', resolve)
    })
    let said = ''
    // The first event is that of the lease: from then on there is something to clean up.
    await new Promise((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        resolve(undefined)
      })
    })
    child.kill('SIGINT')
    const status = await ended
    expect([0, 130]).toContain(status)
    expect(said.includes('(ABORTED)')).toBe(status === 130)
    expect(await containerd.ctr('leases', 'ls', '-q')).toBe('')
    const kinds = (await all((await containerd.connect()).snapshotter('native').list())).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind !== 'committed')).toEqual([])
  })

  // Not test.each: the cases use what beforeAll has made.
  const BAD: Record<string, { args: () => string[] | Promise<string[]>; code: string; status: number }> = {
    'an image that is not there': {
      args: () => ['unpack', 'nowhere', '-s', 'native'],
      code: 'IMAGE_NOT_FOUND',
      status: 3,
    },
    'a name that is none': {
      args: () => ['unpack', 'UPPER//CASE', '-s', 'native'],
      code: 'REFERENCE_INVALID',
      status: 2,
    },
    'a snapshotter that is not there': {
      args: () => ['unpack', NAME, '-s', 'zfs9'],
      code: 'SNAPSHOTTER_NOT_FOUND',
      status: 3,
    },
    'a snapshotter whose name is none': {
      args: () => ['unpack', NAME, '-s', '../x'],
      code: 'SNAPSHOTTER_INVALID',
      status: 2,
    },
    'a profile that there is not': {
      args: () => ['unpack', NAME, '-s', 'native', '--profile', 'x'],
      code: 'PROFILE_UNKNOWN',
      status: 3,
    },
    'a platform that is none': {
      args: () => ['unpack', NAME, '-s', 'native', '--platform', 'a/b/c/d'],
      code: 'PLATFORM_INVALID',
      status: 2,
    },
    'a plan that the snapshotter cannot do with': {
      args: () => ['unpack', NAME, '-s', 'nydus', '--labels', 'off'],
      code: 'PLAN_LABEL_REQUIRED',
      status: 2,
    },
    'a source that is not there': {
      args: () => ['unpack', `oci:${directory}/nothing`, '-s', 'native'],
      code: 'FILE_NOT_FOUND',
      status: 3,
    },
    'a source that is none': {
      args: () => ['unpack', `oci:${directory}`, '-s', 'native'],
      code: 'SOURCE_INVALID',
      status: 2,
    },
    'a plan document that is none': {
      args: async () => {
        await writeFile(join(directory, 'bad.json'), '{"schema":"layercast.plan/v1"}')
        return ['apply', join(directory, 'bad.json')]
      },
      code: 'PLAN_INVALID',
      status: 2,
    },
    'a plan whose chain was tampered with': {
      args: async () => {
        const { stdout } = await run(['plan', NAME, '-s', 'native', '-o', 'json'])
        const text = stdout.toString().replaceAll(image.chainIDs.at(-1) ?? '', `sha256:${'0'.repeat(64)}`)
        await writeFile(join(directory, 'tampered.json'), text)
        return ['apply', join(directory, 'tampered.json')]
      },
      code: 'PLAN_INVALID',
      status: 2,
    },
    'an applier that there is not': {
      args: () => ['unpack', NAME, '-s', 'native', '--applier', 'tar'],
      code: 'USAGE',
      status: 2,
    },
    'a snapshot that is not there': {
      args: () => ['snapshot', 'rm', '-s', 'native', 'x'],
      code: 'SNAPSHOT_NOT_FOUND',
      status: 3,
    },
    'a daemon that is not there': {
      args: () => ['unpack', NAME, '-s', 'native', '--address', join(directory, 'no.sock')],
      code: 'CONTAINERD_UNREACHABLE',
      status: 4,
    },
  }
  test.each(Object.keys(BAD))('%s has its own code and status, and changes nothing', async (title) => {
    const { args, code, status } = BAD[title] ?? { args: () => [], code: '', status: 0 }
    const line = await args()
    const before = await nodeState()
    const ran = await run([...line, '-o', 'json'])
    expect(errorOf(ran)).toMatchObject({ code, exit: status, fix: expect.any(String) as string })
    expect([ran.status, ran.stdout.toString()]).toEqual([status, ''])
    expect(await nodeState()).toEqual(before)
  })

  test('a layer that is not what the config says is refused with status 5, and nothing of it stays', async () => {
    const wrong = withWrongDiffID(smallImage(`wrong ${version}`), 2)
    await bring(wrong, 'example.com/wrong:1')
    const ran = await run(['unpack', 'example.com/wrong:1', '-s', 'native', '-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([5, 'DIFF_ID_MISMATCH'])
    const left = await all((await containerd.connect()).snapshotter('native').list())
    expect(left.filter(({ kind }) => kind !== 'committed')).toEqual([])
    expect(await containerd.ctr('leases', 'ls', '-q')).toBe('')
  })

  test('a blob that is not there is named, by a dry run too, with status 3', async () => {
    const built = smallImage(`blobless ${version}`)
    await bring(built, 'example.com/blobless:1')
    const gone = built.layers[1]?.digest ?? ''
    await containerd.ctr('content', 'rm', gone)
    for (const extra of [['--dry-run'], []]) {
      const ran = await run(['unpack', 'example.com/blobless:1', '-s', 'native', '-o', 'json', ...extra])
      expect([ran.status, errorOf(ran).code]).toEqual([3, 'BLOB_NOT_FOUND'])
      expect(errorOf(ran).message).toContain(gone)
    }
  })
})
