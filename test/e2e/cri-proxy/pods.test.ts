import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { SnapshotInfo } from '../../../functions/node/ports.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { all } from '../../support/all.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { BEFORE_LABELS, nydusProgram, programs, versionsBehindProxy } from '../../support/containerd/versions.ts'
import { Cri } from '../../support/cri/client.ts'
import { startCriProxy, type CriProxy } from '../../support/cri/proxy.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { busybox, LAYERED_DIRECTORIES, LAYERED_FILES, layeredImage, pauseImage } from '../../support/images/running.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const PAUSE = 'example.com/pause:1'
const SLEEP = ['/bin/sleep', '100000']

for (const version of versionsBehindProxy()) {
  const [found, nydus] = [await programs(version), await nydusProgram()]
  const missing = [
    ...('missing' in found ? [found.missing] : []),
    ...('missing' in nydus ? [nydus.missing] : []),
    ...(busybox === undefined ? ['busybox is not installed'] : []),
  ]
  const hasErofs = hasMkfsErofs && version !== '1.7'
  const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`

  describe.skipIf(missing.length > 0)(`the CRI proxy before containerd ${version}${reason}`, () => {
    let containerd: TestContainerd
    let backend: ContainerdBackend
    let straight: Cri
    let through: Cri
    let proxy: CriProxy

    beforeAll(async () => {
      containerd = await startContainerd({
        version,
        namespace: 'k8s.io',
        nydus: true,
        cri: { handlers: { ...(hasErofs ? { erofs: 'erofs' } : {}), kata: 'nydus' }, sandboxImage: PAUSE },
      })
      backend = await containerd.connect()
      const logs = join(containerd.directory, 'logs')
      await mkdir(logs)
      proxy = await startCriProxy(join(containerd.files, 'cri.sock'), containerd.address)
      straight = new Cri(containerd.address, logs)
      through = new Cri(proxy.address, logs)
      await bring(pauseImage(), 'example.com/pause')
    })
    afterAll(async () => {
      await through?.close()
      await straight?.close()
      await proxy?.stop()
      await containerd?.stop()
    })

    /** The image, unpacked for overlayfs alone. */
    async function bring(image: BuiltImage, base: string): Promise<string> {
      await containerd.importImage(image, base, { snapshotter: 'overlayfs' })
      await vi.waitUntil(() => through.hasImage(`${base}:1`), { timeout: 20_000 })
      return `${base}:1`
    }

    async function committed(snapshotter: string): Promise<SnapshotInfo[]> {
      const infos = await all(backend.snapshotter(snapshotter).list())
      return infos.filter(({ kind }) => kind === 'committed')
    }

    async function unlabelled(image: BuiltImage, name: string, snapshotter: string): Promise<string[]> {
      const without: string[] = []
      for (const layer of planOf(image, { snapshotter, reference: name }).plan.layers) {
        const { labels } = await backend.snapshotter(snapshotter).stat(layer.chainID)
        if (labels['containerd.io/snapshot/cri.image-ref'] !== name) without.push(layer.chainID)
      }
      return without
    }

    test.skipIf(!hasErofs)('a pod of another handler starts, with the files that its layers describe', async () => {
      const image = layeredImage('through')
      const name = await bring(image, 'example.com/through')
      expect(await committed('erofs')).toEqual([])
      const pod = await through.runPod('erofs')
      const container = await through.startContainer(pod, name, SLEEP, 'erofs')
      const { stdout } = await through.exec(container, ['/bin/ls', ...LAYERED_DIRECTORIES])
      expect(stdout.match(/^[a-z]+$/gm)).toEqual(LAYERED_FILES)
      expect(await unlabelled(image, name, 'erofs')).toEqual([])
      expect(await unlabelled(pauseImage(), PAUSE, 'erofs')).toEqual([])
      expect(await committed('erofs')).toHaveLength(image.layers.length + 1)
      await through.removePod(pod)
    })

    test.skipIf(!hasErofs || version !== BEFORE_LABELS)(
      'straight to this containerd the container does not start, and what is there of its chain has no labels',
      async () => {
        const image = layeredImage('straight')
        const name = await bring(image, 'example.com/straight')
        const pod = await straight.runPod('erofs')
        const started = await straight.startContainer(pod, name, SLEEP, 'erofs').then(
          () => true,
          () => false,
        )
        const [bottom] = image.chainIDs
        const made = (await committed('erofs')).find(({ name: chainID }) => chainID === bottom)
        expect([started, made?.labels]).toEqual([false, {}])
        await straight.removePod(pod)
      },
    )

    test('every layer has its labels before containerd looks, where a guest would pull', async () => {
      const image = layeredImage('guest')
      const name = await bring(image, 'example.com/guest')
      // The runtime that would start the guest is not here: what fails is containerd's own.
      await expect(through.runPod('kata')).rejects.toThrow(/containerd-shim-kata-v2/)
      expect(await unlabelled(pauseImage(), PAUSE, 'nydus')).toEqual([])
      expect(proxy.log()).toContain('"unpacked"')
      expect(name).toBe('example.com/guest:1')
    })
  })
}
