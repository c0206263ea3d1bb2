import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Code, ConnectError } from '@connectrpc/connect'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { removeChain } from '../../runner/unpack/support/stores.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, nydusProgram, programs, versionsBehindProxy } from '../../support/containerd/versions.ts'
import { Cri } from '../../support/cri/client.ts'
import { startCriProxy, type CriProxy } from '../../support/cri/proxy.ts'
import { busybox, pauseImage } from '../../support/images/running.ts'

const PAUSE = 'example.com/pause:1'
/** What this client says of a connection that ends; grpc-go says UNAVAILABLE of all of them. */
const LOST = ['Unavailable', 'Aborted', 'Canceled']
const codeOf = (error: unknown): string => Code[ConnectError.from(error).code] ?? ''

for (const version of versionsBehindProxy()) {
  const [found, nydus] = [await programs(version), await nydusProgram()]
  const missing = [
    ...('missing' in found ? [found.missing] : []),
    ...('missing' in nydus ? [nydus.missing] : []),
    ...(busybox === undefined ? ['busybox is not installed'] : []),
  ]
  const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`

  describe.skipIf(missing.length > 0)(`trouble behind the CRI proxy, containerd ${version}${reason}`, () => {
    let containerd: TestContainerd
    let backend: ContainerdBackend
    let straight: Cri
    let through: Cri
    let refused: Cri
    const proxies: CriProxy[] = []

    beforeAll(async () => {
      containerd = await startContainerd({
        version,
        namespace: 'k8s.io',
        nydus: true,
        cri: { handlers: { kata: 'nydus' }, sandboxImage: PAUSE },
      })
      backend = await containerd.connect()
      const logs = join(containerd.directory, 'logs')
      await mkdir(logs)
      for (const options of [[], ['--on-failure', 'refuse']]) {
        const listen = join(containerd.files, `cri-${proxies.length}.sock`)
        proxies.push(await startCriProxy(listen, containerd.address, options))
      }
      straight = new Cri(containerd.address, logs)
      through = new Cri(proxies[0]?.address ?? '', logs)
      refused = new Cri(proxies[1]?.address ?? '', logs)
      await containerd.importImage(pauseImage(), 'example.com/pause', { snapshotter: 'overlayfs' })
      await vi.waitUntil(() => through.hasImage(PAUSE), { timeout: 20_000 })
    })
    afterAll(async () => {
      for (const proxy of proxies) await proxy.stop()
      await containerd?.stop()
    })

    const chain = planOf(pauseImage(), { snapshotter: 'nydus', reference: PAUSE }).plan.layers
    const imageRefs = async (): Promise<(string | undefined)[]> =>
      await Promise.all(
        chain.map(
          async ({ chainID }) =>
            (await backend.snapshotter('nydus').stat(chainID)).labels['containerd.io/snapshot/cri.image-ref'],
        ),
      )
    /** The chain as an unpacker leaves it that sends no labels. */
    async function unpackWithoutLabels(): Promise<void> {
      await removeChain(backend, pauseImage(), 'nydus')
      const snapshotter = backend.snapshotter('nydus')
      for (const { chainID, parent } of chain) {
        await snapshotter.prepare(`unlabelled ${chainID}`, parent, {})
        await snapshotter.commit(chainID, `unlabelled ${chainID}`, {})
      }
      await backend.content.label(pauseImage().config.digest, {
        'containerd.io/gc.ref.snapshot.nydus': chain.at(-1)?.chainID ?? '',
      })
      expect(await imageRefs()).toEqual(chain.map(() => undefined))
    }

    test.skipIf(version === NEWEST)('straight to containerd a sandbox leaves a chain without labels', async () => {
      await removeChain(backend, pauseImage(), 'nydus')
      await expect(straight.runPod('kata')).rejects.toThrow(/sandbox|kata|nydus/)
      const labels = await imageRefs().catch((error: { code?: string }) => error.code)
      expect([chain.map(() => undefined), 'SNAPSHOT_NOT_FOUND']).toContainEqual(labels)
      // The same through the proxy is whole, and has them.
      await expect(through.runPod('kata')).rejects.toThrow(/kata/)
      expect(await imageRefs()).toEqual(chain.map(() => PAUSE))
    })

    test('a chain without labels is repaired, also after the proxy has seen it right', async () => {
      for (const round of [1, 2]) {
        await unpackWithoutLabels()
        await expect(through.runPod('kata')).rejects.toThrow(/kata/)
        expect(await imageRefs()).toEqual(chain.map(() => PAUSE))
        expect(proxies[0]?.log().split('"repaired"')).toHaveLength(1 + round)
      }
    })

    test('a call whose image cannot be made ready goes on, or is refused with the reason', async () => {
      const passed = await through.runPod('nowhere').catch((error: unknown) => error)
      const own = await straight.runPod('nowhere').catch((error: unknown) => error)
      expect(codeOf(passed)).toBe(codeOf(own))
      expect(proxies[0]?.log()).toContain('HANDLER_NOT_FOUND')
      const refusal = await refused.runPod('nowhere').catch((error: unknown) => error)
      expect([codeOf(refusal), String(refusal)]).toEqual([
        'FailedPrecondition',
        expect.stringContaining('[HANDLER_NOT_FOUND]'),
      ])
    })

    test('while containerd is away calls fail at once, and once it is back all goes on', async () => {
      await containerd.kill()
      try {
        for (let index = 0; index < 3; index++) {
          expect(LOST).toContain(codeOf(await through.version().catch((error: unknown) => error)))
          expect(LOST).toContain(codeOf(await refused.runPod('kata').catch((error: unknown) => error)))
        }
      } finally {
        await containerd.start()
      }
      expect(await through.version()).toMatch(/^v?\d/)
      await removeChain(backend, pauseImage(), 'nydus')
      await expect(refused.runPod('kata')).rejects.toThrow(/kata/)
      expect(await imageRefs()).toEqual(chain.map(() => PAUSE))
    })

    test('at SIGTERM a proxy ends with status 0, and its socket is gone', async () => {
      for (const proxy of proxies) {
        expect(await proxy.stop()).toBe(0)
        await expect(access(proxy.address)).rejects.toThrow(/ENOENT/)
      }
      proxies.length = 0
    })
  })
}
