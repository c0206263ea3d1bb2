/** What must hold under every snapshotter that fetches layers as files are read, against its real daemon. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ContainerdBackend } from '../../../../functions/node/containerd/backend.ts'
import { pushTree, registryProgram, startRegistry, type Peer } from '../../../runner/sources/support/registry-daemon.ts'
import { all } from '../../../support/all.ts'
import { remoteProgram, type Pushable, type RemoteSnapshotter } from '../../../support/containerd/remote.ts'
import { startContainerd, type TestContainerd } from '../../../support/containerd/start.ts'
import { isAtLeast, matrix, programs, type ContainerdVersion } from '../../../support/containerd/versions.ts'
import { dir, file, hardlink, opaque, symlink, whiteout } from '../../../support/images/entries.ts'
import { buildImage, digestOf, type BuiltImage } from '../../../support/images/image.ts'
import { layercast, type Ran } from '../../../support/layercast.ts'

const S = 'containerd.io/snapshot/'
const LAYERS = 3

export interface RemoteSubject {
  name: RemoteSnapshotter
  /** The image in the form that the snapshotter takes. */
  convert: (directory: string, image: BuiltImage) => Promise<Pushable>
  /** The same, but for the layer in the middle, which the snapshotter leaves to be unpacked. */
  convertPartly: (directory: string, image: BuiltImage) => Promise<Pushable>
  /** Labels that its daemon writes on a layer that it took, besides `remote`. */
  writes: string[]
  /** The first containerd that it works with, and why not before. */
  least?: { version: ContainerdVersion; why: string }
}

interface Report {
  lazy?: { layers: number; of: number }
  warnings: { code: string; detail: string }[]
  state?: string
  layers: { chainID: string; problems?: unknown[]; unplanned?: string[]; state?: string }[]
}

// Does not compress, so that the layer in the middle is the smallest.
const bulk = (seed: string): string => Array.from({ length: 100 }, (_, n) => digestOf(`${seed} ${n}`)).join()
const plainImage = (seed: string): BuiltImage =>
  buildImage({
    layers: [
      [dir('etc'), file('etc/motd', `hello ${seed}`, { mode: 0o640, uid: 7 }), file('etc/gone', bulk(seed))],
      [whiteout('etc/gone'), file('etc/new', `new ${seed}`), hardlink('etc/hard', 'etc/new'), symlink('etc/to', 'new')],
      [
        dir('etc', { mode: 0o711 }),
        file('etc/motd', 'replaced'),
        dir('var'),
        opaque('var'),
        file('var/seen', bulk(`${seed} above`)),
      ],
    ],
  })

/** The image with annotations that only the snapshotter may set, on every layer. */
const forged = ({ tars }: BuiltImage): BuiltImage =>
  buildImage({ layers: tars, layerAnnotations: tars.map(() => ({ [`${S}remote`]: 'remote snapshot' })) })

const plain = (image: BuiltImage): Pushable => ({ target: image.manifest, blobs: image.blobs })

/** Await it at the top of a test file: it builds what is not there. */
export async function remoteSuite(subject: RemoteSubject): Promise<void> {
  const lacking = [await remoteProgram(subject.name)].flatMap((found) => ('missing' in found ? [found.missing] : []))
  if (registryProgram === undefined) lacking.push('docker-registry is not installed')
  for (const version of matrix()) {
    const containerd = await programs(version)
    const missing = [...lacking]
    if ('missing' in containerd) missing.push(containerd.missing)
    if (subject.least !== undefined && !isAtLeast(version, subject.least.version)) missing.push(subject.least.why)
    const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`
    describe.skipIf(missing.length > 0)(`${subject.name}'s daemon, containerd ${version}${reason}`, () => {
      suite(subject, version)
    })
  }
}

function suite({ name: snapshotter, convert, convertPartly, writes }: RemoteSubject, version: ContainerdVersion): void {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let registry: Peer
  let directory: string
  let count = 0
  let seed: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), `layercast-${snapshotter}-`))
    registry = await startRegistry()
    containerd = await startContainerd({ version, remote: snapshotter })
    backend = await containerd.connect()
  })
  afterAll(async () => {
    await containerd?.stop()
    await registry?.close()
    await rm(directory, { recursive: true, force: true })
  })
  beforeEach(() => {
    seed = `${snapshotter}-${++count}`
  })

  const run = async (...args: string[]): Promise<Ran> => await layercast(args, { env: containerd.env })
  const ask = async (
    verb: string,
    name: string,
    ...args: string[]
  ): Promise<{ status: number | null; report: Report }> => {
    const { status, stdout, stderr } = await run(verb, name, '-s', snapshotter, '-o', 'json', ...args)
    if (stdout.length === 0) throw new Error(stderr)
    return { status, report: JSON.parse(stdout.toString()) as Report }
  }
  const codes = ({ warnings }: Report): string[] => warnings.map(({ code }) => code)
  const labels = async ({ layers }: Report): Promise<Record<string, string>[]> =>
    await Promise.all(layers.map(async ({ chainID }) => (await backend.snapshotter(snapshotter).stat(chainID)).labels))
  const restart = async (): Promise<void> => {
    await containerd.remote?.kill()
    await containerd.remote?.start()
    // containerd dials a plugin that was gone only once in a while.
    await vi.waitFor(() => all(backend.snapshotter(snapshotter).list()), { timeout: 20_000, interval: 100 })
  }

  /** The image in a registry and, not unpacked, in containerd's store; its name. */
  async function present(image: Pushable): Promise<string> {
    await pushTree(registry.host, image, seed, '1')
    const name = `${registry.host}/${seed}:1`
    await containerd.ctr('content', 'fetch', '--plain-http', name)
    return name
  }
  const converted = async (how = convert): Promise<Pushable> =>
    await how(await mkdtemp(join(directory, 'image-')), plainImage(seed))

  test('takes all layers, which is said; nothing is wrong with them, and nothing of them is changed', async () => {
    const name = await present(await converted())
    const { status, report } = await ask('unpack', name)
    expect({ status, lazy: report.lazy }).toEqual({ status: 0, lazy: { layers: LAYERS, of: LAYERS } })
    expect(report.layers.map(({ state }) => state)).toEqual(Array(LAYERS).fill('taken'))
    expect(codes(report)).not.toContain('NOTHING_LAZY')
    expect((await run('unpack', name, '-s', snapshotter)).stdout.toString()).toMatch(/lazy +3 of 3 layers\n/)

    const before = await labels(report)
    for (const has of before) {
      expect(Object.keys(has)).toEqual(
        expect.arrayContaining(['remote', 'cri.image-ref', ...writes].map((key) => S + key)),
      )
    }
    const verified = await ask('verify', name)
    expect(verified).toMatchObject({ status: 0, report: { state: 'ready', lazy: { layers: LAYERS, of: LAYERS } } })
    expect(verified.report.layers.filter(({ unplanned }) => unplanned !== undefined)).toEqual([])
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
    for (const deep of [[], ['--deep']]) expect((await ask('repair', name, ...deep)).status).toBe(0)
    expect(await labels(report)).toEqual(before)

    await restart()
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
  })

  test('is repaired by its labels: made again where it decided by them, in place where not; starts again', async () => {
    const name = await present(await converted())
    const { report } = await ask('unpack', name)
    const before = await labels(report)
    const [bottom, , top] = report.layers
    const damage = (chainID: string | undefined, change: Record<string, string>) =>
      backend.snapshotter(snapshotter).update(chainID ?? '', change)

    // Another tool's, or a newer daemon's: told, and left.
    await damage(bottom?.chainID, { [`${S}remote/other`]: '1' })
    await damage(bottom?.chainID, { [`${S}diff-id`]: '' })
    const found = await ask('verify', name)
    expect(found).toMatchObject({ status: 5, report: { layers: [{ unplanned: [`${S}remote/other`] }, {}, {}] } })
    expect(found.report.layers[0]?.problems).toMatchObject([{ code: 'LABEL_MISSING', key: `${S}diff-id` }])
    expect((await ask('repair', name)).status).toBe(0)
    const [first, ...others] = before
    expect(await labels(report)).toEqual([{ ...first, [`${S}remote/other`]: '1' }, ...others])
    await restart()
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)

    await damage(top?.chainID, { [`${S}cri.image-ref`]: 'example.com/other:1' })
    expect((await ask('verify', name)).status).toBe(5)
    expect((await ask('repair', name)).status).toBe(0)
    expect(await ask('verify', name, '--deep')).toMatchObject({ status: 0, report: { lazy: { layers: LAYERS } } })
    await restart()
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
  })

  test('takes some layers of an image: how many is said, and the tree is right', async () => {
    const name = await present(await converted(convertPartly))
    const { status, report } = await ask('unpack', name)
    expect({ status, lazy: report.lazy }).toEqual({ status: 0, lazy: { layers: LAYERS - 1, of: LAYERS } })
    expect(codes(report)).not.toContain('NOTHING_LAZY')
    const verified = await ask('verify', name, '--deep', '--contents')
    expect(verified).toMatchObject({ status: 0, report: { state: 'ready', lazy: { layers: LAYERS - 1, of: LAYERS } } })
    expect((await run('verify', name, '-s', snapshotter)).stdout.toString()).toMatch(/lazy +2 of 3 layers, the rest/)
    await restart()
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
  })

  const notTaken = async (name: string): Promise<void> => {
    const { status, report } = await ask('unpack', name)
    expect({ status, lazy: report.lazy }).toEqual({ status: 0, lazy: { layers: 0, of: LAYERS } })
    expect(codes(report)).toContain('NOTHING_LAZY')
    const verified = await ask('verify', name, '--deep', '--contents')
    expect(verified).toMatchObject({ status: 0, report: { state: 'ready', lazy: { layers: 0, of: LAYERS } } })
    expect(codes(verified.report)).toContain('NOTHING_LAZY')
    const told = await run('unpack', name, '-s', snapshotter)
    expect(told.stdout.toString()).toContain(`${snapshotter} took none of the 3 layers`)
    expect(told.stdout.toString().includes('restart it')).toBe(snapshotter === 'soci')
  }

  test('takes no layer of a plain image: a warning, and the chain is right', async () => {
    const name = await present(plain(plainImage(seed)))
    await notTaken(name)
    const local = await layercast(['unpack', name, '-s', 'overlayfs', '-o', 'json'], { env: containerd.env })
    const report = JSON.parse(local.stdout.toString()) as Report
    expect(report.lazy).toBeUndefined()
    expect(codes(report)).toEqual([])
  })

  test('takes no layer of an image that says it was taken: that is left out, and the daemon starts again', async () => {
    const name = await present(plain(forged(plainImage(seed))))
    await notTaken(name)
    expect(codes((await ask('unpack', name)).report)).toContain('ANNOTATION_RESERVED')
    await restart()
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
  })

  test('takes no layer under a name that the registry does not have: a warning, and the chain is right', async () => {
    const name = await present(await converted())
    const other = `${registry.host}/no-such-${seed}:1`
    await containerd.ctr('images', 'tag', name, other)
    await notTaken(other)
    await restart()
    expect((await ask('verify', other, '--deep', '--contents')).status).toBe(0)
  })

  test('takes no layer while the registry is down: a warning, and the chain is right; all once it is up', async () => {
    const name = await present(await converted())
    await registry.stop()
    await notTaken(name).finally(() => registry.start())
    // As the warning says: soci remembers.
    if (snapshotter === 'soci') await restart()
    const { report } = await ask('unpack', name)
    const told = report.warnings.find(({ code }) => code === 'NOTHING_LAZY')?.detail ?? ''
    const command = /'layercast (snapshot rm [^']+)'/.exec(told)?.[1]?.split(' ') ?? []
    expect((await run(...command)).status).toBe(0)
    const again = await ask('unpack', name)
    expect(again).toMatchObject({ status: 0, report: { lazy: { layers: LAYERS, of: LAYERS } } })
    expect((await ask('verify', name, '--deep', '--contents')).status).toBe(0)
  })
}
