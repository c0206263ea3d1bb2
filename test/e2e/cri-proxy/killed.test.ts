import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Code, ConnectError } from '@connectrpc/connect'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { leftovers, removeChain } from '../../runner/unpack/support/stores.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import {
  BEFORE_LABELS,
  NEWEST,
  nydusProgram,
  programs,
  type ContainerdVersion,
} from '../../support/containerd/versions.ts'
import { Cri, type Pod } from '../../support/cri/client.ts'
import { startCriProxy, type CriProxy } from '../../support/cri/proxy.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { busybox, LAYERED_DIRECTORIES, LAYERED_FILES, layeredImage, pauseImage } from '../../support/images/running.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const PAUSE = 'example.com/pause'
const SLEEP = ['/bin/sleep', '100000']
/** As many as the matrix has time for; a run of all tests takes some of them. */
const isLong = process.env['LAYERCAST_TEST_CONTAINERD'] !== undefined
const KILLS = isLong ? { proxy: 100, containerd: 20 } : { proxy: 8, containerd: 2 }
/** The kubelet's own is two minutes. A call that ends by it was held by nobody's work: all here take a second. */
const DEADLINE_MS = 30_000
/** Whole, or not there at all. `unheld`: the load takes the label away while a killed call's container stands on the chain. */
const WHOLE = ['ready', 'foreign', 'unheld', 'absent']

interface Case {
  version: ContainerdVersion
  /** Pods start with these files where the snapshotter needs no guest. */
  handler: 'erofs' | 'kata'
  snapshotter: 'erofs' | 'nydus'
  kills: { proxy: number; containerd: number }
}
const CASES: Case[] = [
  { version: isLong ? BEFORE_LABELS : NEWEST, handler: 'erofs', snapshotter: 'erofs', kills: KILLS },
  {
    version: isLong ? '1.7' : NEWEST,
    handler: 'kata',
    snapshotter: 'nydus',
    kills: isLong ? { proxy: 20, containerd: 5 } : { proxy: 3, containerd: 1 },
  },
]

for (const { version, handler, snapshotter, kills } of CASES) {
  const needed = snapshotter === 'nydus' ? [await programs(version), await nydusProgram()] : [await programs(version)]
  const missing = [
    ...needed.flatMap((found) => ('missing' in found ? [found.missing] : [])),
    ...(busybox === undefined ? ['busybox is not installed'] : []),
    ...(snapshotter === 'erofs' && !hasMkfsErofs ? ['mkfs.erofs is not installed'] : []),
  ]
  const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`

  describe.skipIf(missing.length > 0)(`pods under ${snapshotter} on containerd ${version}${reason}`, () => {
    let containerd: TestContainerd
    let backend: ContainerdBackend
    let proxy: CriProxy
    let logs: string
    let listen: string
    const images = [layeredImage('one'), layeredImage('two')]
    const nameOf = (image: BuiltImage): string => `example.com/killed-${images.indexOf(image)}`
    /** Calls that nothing ended but their deadline. */
    const hung: string[] = []
    const wrong: string[] = []
    let longest = 0
    let wentWell = 0

    beforeAll(async () => {
      containerd = await startContainerd({
        version,
        namespace: 'k8s.io',
        nydus: snapshotter === 'nydus',
        cri: { handlers: { [handler]: snapshotter }, sandboxImage: `${PAUSE}:1` },
      })
      backend = await containerd.connect()
      logs = join(containerd.directory, 'logs')
      await mkdir(logs)
      listen = join(containerd.files, 'cri.sock')
      proxy = await startCriProxy(listen, containerd.address)
      await containerd.importImage(pauseImage(), PAUSE, { snapshotter: 'overlayfs' })
      for (const image of images) await containerd.importImage(image, nameOf(image), { snapshotter: 'overlayfs' })
      const cri = client()
      for (const base of [PAUSE, ...images.map(nameOf)])
        await vi.waitUntil(() => cri.hasImage(`${base}:1`), { timeout: 20_000 })
    })
    afterAll(async () => {
      await proxy?.kill()
      await containerd?.stop()
    })

    function client(): Cri {
      return new Cri(listen, logs, DEADLINE_MS)
    }

    async function timed<T>(what: string, call: () => Promise<T>): Promise<T> {
      const started = performance.now()
      try {
        return await call()
      } catch (error) {
        if (ConnectError.from(error).code === Code.DeadlineExceeded) hung.push(what)
        throw error
      } finally {
        longest = Math.max(longest, performance.now() - started)
      }
    }

    /** Again and again, as the kubelet does, while what answers is killed. */
    async function untilDone(what: string, call: () => Promise<unknown>): Promise<void> {
      for (const deadline = Date.now() + DEADLINE_MS; ; await sleep(100)) {
        try {
          await timed(what, call)
          return
        } catch (error) {
          if (Date.now() > deadline) throw new Error(`cannot ${what} at all`, { cause: error })
        }
      }
    }

    /** A pod with two containers of one image, which are started at once. */
    async function runPod(cri: Cri, image: BuiltImage): Promise<Pod | undefined> {
      if (snapshotter === 'nydus') {
        // The runtime that would start the guest is not here: what fails at last is containerd's own.
        const error = await timed('run a sandbox', () => cri.runPod(handler)).catch(String)
        if (/kata/.test(String(error))) wentWell++
        return undefined
      }
      let pod: Pod | undefined
      try {
        const started = await timed('run a sandbox', () => cri.runPod(handler))
        pod = started
        const start = (): Promise<string> => cri.startContainer(started, `${nameOf(image)}:1`, SLEEP, handler)
        const ids = await Promise.all([timed('start a container', start), timed('start a container', start)])
        for (const id of ids) {
          const { stdout } = await timed('run a command', () => cri.exec(id, ['/bin/ls', ...LAYERED_DIRECTORIES]))
          const seen = stdout.match(/^[a-z]+$/gm) ?? []
          if (seen.join() !== LAYERED_FILES.join()) wrong.push(stdout)
        }
        wentWell++
      } catch {
        // Whatever was killed under it; the pod is removed and tried again.
      }
      return pod
    }

    async function load(image: BuiltImage, isOver: () => boolean): Promise<void> {
      const cri = client()
      while (!isOver()) {
        const pod = await runPod(cri, image)
        if (pod !== undefined) await untilDone('remove a pod', () => cri.removePod(pod))
        const gone = snapshotter === 'nydus' ? pauseImage() : image
        await untilDone('remove a chain', () => removeChain(backend, gone, snapshotter))
      }
    }

    test(
      `${kills.proxy} kills of the proxy and ${kills.containerd} of containerd leave nothing half made, and no call hangs`,
      { timeout: isLong ? 1_200_000 : 120_000 },
      async () => {
        let over = false
        const workers = (snapshotter === 'nydus' ? images.slice(0, 1) : images).map((image) => load(image, () => over))
        // What fails in one of them is told at the end.
        const loads = Promise.allSettled(workers)
        const every = Math.floor(kills.proxy / kills.containerd)
        for (let kill = 1; kill <= kills.proxy; kill++) {
          // All moments of a pod's start come about.
          await sleep(100 + Math.random() * 900)
          if (kill % every === 0) {
            await containerd.kill()
            await sleep(Math.random() * 300)
            await containerd.start()
            await sleep(100 + Math.random() * 900)
          }
          await proxy.kill()
          proxy = await startCriProxy(listen, containerd.address)
        }
        await sleep(1000)
        over = true
        const failed = (await loads).flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
        expect({ failed, hung, wrong }).toEqual({ failed: [], hung: [], wrong: [] })
        expect(longest).toBeLessThan(DEADLINE_MS)
        expect(wentWell).toBeGreaterThan(0)

        const cri = client()
        await cri.removeAllPods()
        const names = snapshotter === 'nydus' ? [PAUSE] : [PAUSE, ...images.map(nameOf)]
        const halfMade: string[] = []
        for (const { names: of, report, tree } of await verifyAll()) {
          const state = report?.state ?? 'absent'
          const isFilled = snapshotter === 'erofs' && state !== 'absent'
          if (!WHOLE.includes(state) || (isFilled && tree?.ok !== true)) halfMade.push(`${of.join(', ')}: ${state}`)
        }
        expect(halfMade).toEqual([])
        for (const name of names) {
          const { status, stderr } = await containerd.layercast('unpack', `${name}:1`, '-s', snapshotter)
          expect([stderr, status]).toEqual([stderr, 0])
        }
        // A containerd that is killed leaves leases of its own, by its own names; they end after a day.
        const ours = (await leftovers(backend, snapshotter)).filter((left) => !/^lease \d+-\S{4}$/.test(left))
        expect(ours).toEqual([])
        expect((await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(isLeftMount)).toEqual([])

        const before = wentWell
        for (const image of images) {
          const pod = await runPod(cri, image)
          if (pod !== undefined) await cri.removePod(pod)
        }
        expect([wentWell - before, wrong]).toEqual([images.length, []])
      },
    )

    /** Whether a process of layercast mounted it, of this daemon. */
    const isLeftMount = (line: string): boolean =>
      line.includes('layercast/mounts') && line.includes(containerd.directory)

    async function verifyAll(): Promise<{ names: string[]; report?: { state: string }; tree?: { ok: boolean } }[]> {
      const deep = snapshotter === 'nydus' ? [] : ['--deep']
      const { stdout, stderr } = await containerd.layercast('verify', '--all', ...deep, '-s', snapshotter, '-o', 'json')
      if (stdout.length === 0) throw new Error(stderr)
      return JSON.parse(stdout.toString())
    }
  })
}
