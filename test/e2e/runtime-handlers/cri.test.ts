import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { SnapshotInfo } from '../../../functions/node/ports.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { all } from '../../support/all.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, nydusProgram, programs } from '../../support/containerd/versions.ts'
import { Cri, type Pod } from '../../support/cri/client.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { busybox, LAYERED_DIRECTORIES, LAYERED_FILES, layeredImage, pauseImage } from '../../support/images/running.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const [found, nydus] = [await programs(NEWEST), await nydusProgram()]
const missing = [
  ...('missing' in found ? [found.missing] : []),
  ...(hasMkfsErofs ? [] : ['mkfs.erofs is not installed']),
  ...(busybox === undefined ? ['busybox is not installed'] : []),
]
const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`
const noNydus = 'missing' in nydus ? ` (skipped: ${nydus.missing})` : ''
const PAUSE = 'example.com/pause:1'
const SLEEP = ['/bin/sleep', '100000']

describe.skipIf(missing.length > 0)(`pods of several runtime handlers on the newest containerd${reason}`, () => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let cri: Cri
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-cri-'))
    containerd = await startContainerd({
      version: NEWEST,
      namespace: 'k8s.io',
      nydus: noNydus === '',
      cri: { handlers: { erofs: 'erofs', kata: 'nydus' }, sandboxImage: PAUSE },
    })
    backend = await containerd.connect()
    const logs = join(containerd.directory, 'logs')
    await mkdir(logs)
    cri = new Cri(containerd.address, logs)
    await bring(pauseImage(), 'example.com/pause')
  })
  afterAll(async () => {
    await cri?.close()
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const run = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })

  /** Imports the image and has containerd unpack it for overlayfs; CRI knows it then. */
  async function bring(image: BuiltImage, base: string): Promise<string> {
    const archive = join(directory, 'image.tar')
    await writeOciArchive(image, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: base, snapshotter: 'overlayfs' })
    await vi.waitUntil(() => cri.hasImage(`${base}:1`), { timeout: 20_000 })
    return `${base}:1`
  }

  /** What is unpacked, and when it was: containers' own layers are not. */
  async function committed(snapshotter: string): Promise<SnapshotInfo[]> {
    const infos = await all(backend.snapshotter(snapshotter).list())
    return infos.filter(({ kind }) => kind === 'committed').toSorted((a, b) => a.name.localeCompare(b.name))
  }

  async function expectLabels(image: BuiltImage, name: string, snapshotter: string): Promise<void> {
    for (const layer of planOf(image, { snapshotter, reference: name }).plan.layers) {
      const { labels } = await backend.snapshotter(snapshotter).stat(layer.chainID)
      expect(labels).toMatchObject({
        'containerd.io/snapshot/cri.image-ref': name,
        'containerd.io/snapshot/cri.manifest-digest': image.manifest.digest,
        'containerd.io/snapshot/cri.layer-digest': layer.descriptor.digest,
        'containerd.io/snapshot/cri.image-layers': expect.stringContaining(layer.descriptor.digest),
        'containerd.io/snapshot.ref': layer.chainID,
      })
    }
  }

  /** A pod with one container of the image; gives what that container sees. */
  async function start(name: string, handler: string): Promise<{ pod: Pod; files: string[] }> {
    const pod = await cri.runPod(handler)
    const container = await cri.startContainer(pod, name, SLEEP, handler)
    expect(await cri.isRunning(container)).toBe(true)
    const { stdout, stderr, exitCode } = await cri.exec(container, ['/bin/ls', ...LAYERED_DIRECTORIES])
    expect([exitCode, stderr]).toEqual([0, ''])
    return { pod, files: stdout.match(/^[a-z]+$/gm) ?? [] }
  }

  test('an image that is there for overlayfs is made ready for erofs, and its pods have nothing left to unpack', async () => {
    const image = layeredImage('seed')
    const name = await bring(image, 'example.com/seed')
    expect(await committed('erofs')).toEqual([])
    const overlayfs = await committed('overlayfs')

    for (const each of [PAUSE, name]) {
      const ran = await run('unpack', each, '--snapshotter', 'erofs')
      expect([ran.status, ran.stderr]).toEqual([0, ''])
    }
    await expectLabels(image, name, 'erofs')
    await expectLabels(pauseImage(), PAUSE, 'erofs')
    const erofs = await committed('erofs')
    expect(erofs).toHaveLength(image.layers.length + 1)

    const { pod, files } = await start(name, 'erofs')
    expect(files).toEqual(LAYERED_FILES)
    expect(await committed('erofs')).toEqual(erofs)
    // The container and its sandbox each stand on their image's top layer.
    const active = (await all(backend.snapshotter('erofs').list())).filter(({ kind }) => kind === 'active')
    expect(active.map(({ parent }) => parent).toSorted()).toEqual(
      [image.chainIDs.at(-1), pauseImage().chainIDs.at(-1)].toSorted(),
    )

    const beside = await start(name, 'runc')
    expect(beside.files).toEqual(LAYERED_FILES)
    expect([await committed('erofs'), await committed('overlayfs')]).toEqual([erofs, overlayfs])
    await cri.removePod(pod)
    await cri.removePod(beside.pod)
    expect(await committed('erofs')).toEqual(erofs)
  })

  test('an image that containerd itself unpacked is found to be wrong, and is mended once its pods are gone', async () => {
    const name = await bring(layeredImage('own'), 'example.com/own')
    // CRI unpacks it as the container is created, in parallel: deleted files come back (containerd/FACTS.md section 10), as
    // long as the diff service is not told to ask the erofs differ first, were it there.
    const { pod, files } = await start(name, 'erofs')
    expect(files).toContain('deleted')
    expect((await run('verify', name, '-s', 'erofs')).status).toBe(0)
    const deep = await run('verify', name, '-s', 'erofs', '--deep')
    expect([deep.status, deep.stdout.toString()]).toEqual([5, expect.stringContaining('data/deleted')])

    const refused = await run('repair', name, '-s', 'erofs', '--deep', '-o', 'json')
    expect([refused.status, errorOf(refused).code]).toEqual([1, 'SNAPSHOT_IN_USE'])
    await cri.removePod(pod)
    const repaired = await run('repair', name, '-s', 'erofs', '--deep')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    const erofs = await committed('erofs')
    const again = await start(name, 'erofs')
    expect(again.files).toEqual(LAYERED_FILES)
    expect(await committed('erofs')).toEqual(erofs)
    await cri.removePod(again.pod)
  })

  test('of several names of one image, an ID leads to the one that containerd itself labels with', async () => {
    const image = layeredImage('several')
    const name = await bring(image, 'example.com/several')
    const id = image.config.digest
    const both = `example.com/z:2@${image.manifest.digest}`
    const last = 'example.com/a:2'
    for (const other of ['Foo/BAR:x', 'aaa', both, `example.com/a@${image.manifest.digest}`, last])
      await backend.images.put(other, image.manifest)
    // CRI learns of them in their order.
    await vi.waitUntil(() => cri.hasImage(last), { timeout: 20_000 })
    const { pod } = await start(id, 'erofs')
    const { labels } = await backend.snapshotter('erofs').stat(image.chainIDs[0] ?? '')
    expect(labels['containerd.io/snapshot/cri.image-ref']).toBe(both)
    for (const text of [id, id.slice('sha256:'.length, 20), image.manifest.digest]) {
      const verified = await run('verify', text, '-s', 'erofs', '-o', 'json')
      expect([verified.status, JSON.parse(verified.stdout.toString())]).toEqual([
        0,
        expect.objectContaining({ reference: both, ok: true }),
      ])
    }
    // By another name it is the same chain, which is another name's.
    const verified = await run('verify', name, '-s', 'erofs', '-o', 'json')
    expect(JSON.parse(verified.stdout.toString())).toMatchObject({
      ok: true,
      layers: [{ labelledFor: both }, {}, {}, {}],
    })
    await cri.removePod(pod)
  })

  test.skipIf(noNydus !== '')(
    `an image is made ready for the handler kata under nydus, up to where its guest would start${noNydus}`,
    async () => {
      const image = layeredImage('kata')
      const name = await bring(image, 'example.com/kata')
      expect(await committed('nydus')).toEqual([])
      for (const each of [PAUSE, name]) {
        const ran = await run('unpack', each, '--snapshotter', 'nydus')
        expect([ran.status, ran.stderr]).toEqual([0, ''])
      }
      await expectLabels(image, name, 'nydus')
      await expectLabels(pauseImage(), PAUSE, 'nydus')
      const ready = await committed('nydus')
      expect(ready).toHaveLength(image.layers.length + 1)

      // Its sandbox's layer is prepared on what is ready; then the runtime that starts guests is not there.
      await expect(cri.runPod('kata')).rejects.toThrow(/kata/)
      expect(await committed('nydus')).toEqual(ready)
      // What a container's own layer tells the guest is what it was told of the image.
      const { id } = await backend.leases.create()
      const leased = backend.withLease(id).snapshotter('nydus')
      const [mount] = await leased.prepare('guest', image.chainIDs.at(-1) ?? '', {})
      const volume = mount?.options.find((option) => option.startsWith('io.katacontainers.volume='))
      const told = JSON.parse(Buffer.from(volume?.slice('io.katacontainers.volume='.length) ?? '', 'base64').toString())
      expect(told).toMatchObject({
        volume_type: 'image_guest_pull',
        image_pull: { metadata: { 'containerd.io/snapshot/cri.layer-digest': image.layers.at(-1)?.digest } },
      })
      await leased.remove('guest')
      await backend.leases.delete(id)
    },
  )
})
