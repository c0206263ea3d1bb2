/** Benchmark: calls to CRI through the proxy, beside the same calls straight to the same containerd. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startContainerd } from '../../support/containerd/start.ts'
import { BEFORE_LABELS, programs } from '../../support/containerd/versions.ts'
import { Cri } from '../../support/cri/client.ts'
import { busybox, layeredImage, pauseImage } from '../../support/images/running.ts'
import { LAUNCHER } from '../../support/layercast.ts'
import { row, type Row } from '../report.ts'
import { interleaved } from '../rounds.ts'
import { callVersion } from './load.ts'

const VERSION = BEFORE_LABELS
const PAUSE = 'example.com/pause:1'
const IMAGE = 'example.com/image:1'
/** Containers of the node that is listed. */
const CONTAINERS = 200
/** Calls of a round, one after the other, and with so many in flight. */
const CALLS = 500
const IN_FLIGHT = 64
const GROWTH_CALLS = 200_000
/** What the proxy may add to a call, in milliseconds; how many calls a second go through it; what its memory may grow by. */
const MOST_ADDED_MS = 0.5
const LEAST_RATE = 5000
const MOST_GROWTH_MB = 16

export async function benchCriProxy(rounds: number): Promise<Row[]> {
  const found = await programs(VERSION)
  if ('missing' in found || busybox === undefined) {
    console.error(`cri-proxy is left out: ${'missing' in found ? found.missing : 'busybox is not installed'}`)
    return []
  }
  const containerd = await startContainerd({
    version: VERSION,
    namespace: 'k8s.io',
    cri: { handlers: {}, sandboxImage: PAUSE },
  })
  const listen = join(containerd.files, 'cri.sock')
  const proxy = spawn(LAUNCHER, ['cri-proxy', '--listen', listen, '--upstream', containerd.address], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const clients: Cri[] = []
  try {
    await listening(proxy)
    const logs = join(containerd.directory, 'logs')
    await mkdir(logs)
    const [straight, through] = [new Cri(containerd.address, logs), new Cri(listen, logs)]
    clients.push(straight, through)
    for (const [image, base] of [
      [pauseImage(), 'example.com/pause'],
      [layeredImage('bench'), 'example.com/image'],
    ] as const) {
      await containerd.importImage(image, base, { snapshotter: 'overlayfs' })
      while (!(await straight.hasImage(`${base}:1`))) await sleep(50)
    }
    const rows = await benchCalls(straight, through, { straight: containerd.address, through: listen }, rounds)
    const pod = await straight.runPod('')
    for (let index = 0; index < CONTAINERS; index++) await straight.createContainer(pod, IMAGE, ['/bin/sleep', '1000'])
    rows.push(
      ...(await benchOne(
        `ListContainers, ${CONTAINERS} containers`,
        (cri) => cri.listContainers(),
        straight,
        through,
        rounds,
        50,
      )),
    )
    const cycle = async (cri: Cri): Promise<void> => {
      const container = await cri.startContainer(pod, IMAGE, ['/bin/sleep', '1000'])
      await cri.removeContainer(container)
    }
    rows.push(...(await benchOne('create, start and remove a container', cycle, straight, through, rounds, 3)))
    rows.push(await benchMemory(proxy, listen))
    return rows
  } finally {
    for (const cri of clients) await cri.close()
    proxy.kill('SIGTERM')
    await containerd.stop()
  }
}

async function listening(proxy: ChildProcess): Promise<void> {
  let log = ''
  await new Promise<void>((resolve, reject) => {
    proxy.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('listening')) resolve()
    })
    proxy.once('exit', () => reject(new Error(`the proxy ended: ${log}`)))
  })
}

async function benchCalls(
  straight: Cri,
  through: Cri,
  addresses: { straight: string; through: string },
  rounds: number,
): Promise<Row[]> {
  const rows = await benchOne('Version, one at a time', (cri) => cri.version(), straight, through, rounds, CALLS)
  const many = (address: string) => () => callVersion(address, CALLS * 20, IN_FLIGHT)
  const medians = await interleaved(
    [
      { name: 'through', run: many(addresses.through) },
      { name: 'straight', run: many(addresses.straight) },
    ],
    rounds,
  )
  const perSecond = (name: string): number => ((CALLS * 20) / (medians.get(name) ?? Number.NaN)) * 1000
  const figures = `${Math.round(perSecond('through'))} calls/s, ${Math.round(perSecond('straight'))} calls/s`
  return [
    ...rows,
    row(`Version, ${IN_FLIGHT} in flight`, `${LEAST_RATE} calls/s`, perSecond('through') / LEAST_RATE, 1, figures),
    row(
      `Version, ${IN_FLIGHT} in flight`,
      'straight to containerd',
      perSecond('through') / perSecond('straight'),
      null,
      figures,
    ),
  ]
}

/** One kind of call: what the proxy adds to it at the median. */
async function benchOne(
  work: string,
  once: (cri: Cri) => Promise<unknown>,
  straight: Cri,
  through: Cri,
  rounds: number,
  calls: number,
): Promise<Row[]> {
  const several = (cri: Cri) => async (): Promise<void> => {
    for (let index = 0; index < calls; index++) await once(cri)
  }
  const medians = await interleaved(
    [
      { name: 'through', run: several(through) },
      { name: 'straight', run: several(straight) },
    ],
    rounds,
  )
  const ms = (name: string): number => (medians.get(name) ?? Number.NaN) / calls
  const added = ms('through') - ms('straight')
  const figures = `${ms('through').toFixed(3)} ms, ${ms('straight').toFixed(3)} ms: ${added.toFixed(3)} ms added`
  return [
    row(work, `${MOST_ADDED_MS} ms more than straight`, (ms('straight') + MOST_ADDED_MS) / ms('through'), 1, figures),
    row(work, 'straight to containerd', ms('straight') / ms('through'), null, figures),
  ]
}

/** The proxy's resident memory after some calls, and after many more. */
async function benchMemory(proxy: ChildProcess, address: string): Promise<Row> {
  const calls = (count: number): Promise<void> => callVersion(address, count, IN_FLIGHT)
  await calls(GROWTH_CALLS / 10)
  const before = await residentMegabytes(proxy)
  await calls(GROWTH_CALLS)
  const after = await residentMegabytes(proxy)
  const figures = `${before.toFixed(0)} MB before, ${after.toFixed(0)} MB after`
  return row(
    `memory over ${GROWTH_CALLS} calls`,
    `${MOST_GROWTH_MB} MB of growth`,
    (before + MOST_GROWTH_MB) / after,
    1,
    figures,
  )
}

async function residentMegabytes({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1000
}
