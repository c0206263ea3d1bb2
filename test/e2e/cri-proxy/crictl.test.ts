import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { versionsBehindProxy } from '../../support/containerd/versions.ts'
import { TEST_IMAGES } from '../../support/cri/critest-images.ts'
import { crictl, lacking, OTHER_HANDLER, startCriNode, startCrictl, type CriNode } from './support/node.ts'
import type { Ran } from './support/programs.ts'

const IMAGE = TEST_IMAGES.defaultTestContainerImage
const POD = { metadata: { name: 'pod', uid: 'pod-1', namespace: 'default', attempt: 1 }, linux: {} }
const CONTAINER = {
  metadata: { name: 'container', attempt: 1 },
  image: { image: IMAGE },
  command: ['sh', '-c', 'echo started; exec top -b >/dev/null'],
  labels: { kind: 'compared' },
  log_path: 'container.log',
  linux: {},
}
/** Another at each run: IDs, times, process IDs. */
const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{64}\b/g, 'ID'],
  [/\b[0-9a-f]{13}\b/g, 'ID'],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:[\d.]+(?:Z| ?[+-]\d\d:?\d\d(?: [A-Z]+)?)?/g, 'TIME'],
  [/\b1\d{18}\b/g, 'TIME'],
  [/\b[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /g, 'TIME '],
  [/"pid": \d+/g, '"pid": PID'],
  [/\/proc\/\d+\//g, '/proc/PID/'],
  [/(?:Less than a second|About a minute|\d+ (?:seconds?|minutes?)) ago/g, 'AGO'],
  // A column is as wide as what stands in it.
  [/ +/g, ' '],
  [/cni-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'NAMESPACE'],
]
/** What is measured; containerd does so every ten seconds, and says 0 before. */
const MEASURED = /(?<="(?:timestamp|value|usedBytes|inodesUsed|total|full|some|avg\d+)": +)[^\s][^\n]*/g
/** Known from the second time on that containerd measures. */
const RATE = /,\s*"usageNanoCores": +(?:\{[^}]*\}|null)/g

function lasting({ status, stdout, stderr }: Ran, measured = false): Ran {
  const plain = (text: string): string => {
    const kept = CHANGING.reduce((left, [pattern, word]) => left.replaceAll(pattern, word), text)
    return measured ? kept.replaceAll(RATE, '').replaceAll(MEASURED, 'MEASURED') : kept
  }
  return { status, stdout: plain(stdout), stderr: plain(stderr) }
}

for (const version of versionsBehindProxy()) {
  const missing = await lacking(version)
  describe.skipIf(missing !== '')(
    `crictl, straight and through the CRI proxy, containerd ${version}${missing && ` (skipped: ${missing})`}`,
    () => {
      let node: CriNode
      const file = (name: string): string => join(node.containerd.files, name)
      const run = (endpoint: string, ...args: string[]): Promise<Ran> => crictl(endpoint, args, node.containerd.files)
      const id = async (endpoint: string, ...args: string[]): Promise<string> => {
        const ran = await run(endpoint, ...args)
        if (ran.status !== 0) throw new Error(ran.stderr)
        return ran.stdout.trim()
      }

      beforeAll(async () => {
        node = await startCriNode(version, (name) => name === IMAGE)
        await mkdir(file('logs'))
        await writeFile(file('pod.json'), JSON.stringify({ ...POD, log_directory: file('logs') }))
        await writeFile(file('container.json'), JSON.stringify(CONTAINER))
        await writeFile(file('absent.json'), JSON.stringify({ ...CONTAINER, image: { image: 'example.com/absent:1' } }))
      })
      afterAll(() => node?.stop())

      /** containerd 1.7 still gives one event to a listener that has gone: the next pod's first. This pod is for that. */
      async function takeEvents(endpoint: string): Promise<void> {
        const pod = await id(endpoint, 'runp', file('pod.json'))
        await id(endpoint, 'rmp', '--force', pod)
      }

      /** A pod and its container from beginning to end: what each command said, and the events meanwhile. */
      async function wholeLife(endpoint: string): Promise<Record<string, unknown>> {
        const said: Record<string, Ran> = {}
        const step = async (name: string, ...args: string[]): Promise<Ran> => {
          const ran = await run(endpoint, ...args)
          said[name] = lasting(ran, ['stats', 'statsp'].includes(name))
          return ran
        }
        if (version === '1.7') await takeEvents(endpoint)
        await step('pull', 'pull', IMAGE)
        let pod = ''
        let container = ''
        const deleted = (stdout: string): boolean =>
          eventsOf(stdout, pod).filter((event) => event.containerEventType === 'CONTAINER_DELETED_EVENT').length === 2
        const events = startCrictl(endpoint, ['events'], node.containerd.files, deleted)
        try {
          pod = (await step('runp', 'runp', '--runtime', OTHER_HANDLER, file('pod.json'))).stdout.trim()
          await step('runp again', 'runp', '--runtime', OTHER_HANDLER, file('pod.json'))
          await step('create of an image that is not there', 'create', pod, file('absent.json'), file('pod.json'))
          container = (await step('create', 'create', pod, file('container.json'), file('pod.json'))).stdout.trim()
          await step('ps -a', 'ps', '-a')
          await step('start', 'start', container)
          await step('ps', 'ps', '--label', 'kind=compared')
          await step('exec', 'exec', container, 'sh', '-c', 'echo out; echo err >&2; exit 3')
          await step('exec of what is not there', 'exec', '--sync', container, 'absent')
          await step('stats', 'stats', '-a', '-o', 'json')
          await step('update', 'update', '--cpu-share', '512', container)
          await step('inspect', 'inspect', container)
          await step('rm of what runs', 'rm', container)
          await step('stop', 'stop', '--timeout', '1', container)
          await step('rm', 'rm', container)
          await step('stopp', 'stopp', pod)
          await step('rmp', 'rmp', pod)
          await step('inspectp of what is gone', 'inspectp', pod)
          await step('pods', 'pods')
          await step('rmi', 'rmi', IMAGE)
        } finally {
          if (!deleted(events.stdout())) events.stop()
        }
        const { stdout } = await events.ended
        return { ...said, events: eventsOf(stdout, pod) }
      }

      test('a pod and its container come and go alike, with the same events', async () => {
        const through = await wholeLife(node.through)
        expect(through).toEqual(await wholeLife(node.straight))
        expect(through).toMatchObject({
          create: { status: 0, stdout: 'ID\n' },
          exec: { status: 1, stdout: 'out\n' },
          rmp: { status: 0 },
          events: expect.arrayContaining([expect.objectContaining({ containerEventType: 'CONTAINER_STARTED_EVENT' })]),
        })
      })

      test('what there is is told alike', async () => {
        await id(node.through, 'pull', IMAGE)
        const pod = await id(node.through, 'runp', file('pod.json'))
        const container = await id(node.through, 'create', pod, file('container.json'), file('pod.json'))
        await id(node.through, 'start', container)
        const asked: string[][] = [
          ['version'],
          ['info'],
          ['runtime-config'],
          ['pods', '-o', 'json'],
          ['ps', '-o', 'json'],
          ['images', '-o', 'json'],
          ['inspect', container],
          ['inspectp', pod],
          ['inspecti', IMAGE],
          ['inspect', 'absent'],
          ['stats', '-o', 'json'],
          ['statsp', '-o', 'json'],
          ['imagefsinfo'],
          ['metricdescs'],
          ['logs', container],
          ['exec', '--sync', container, 'cat', '/proc/1/comm'],
          ['port-forward', 'absent', '1'],
        ]
        const answers = async (endpoint: string): Promise<Record<string, Ran>> => {
          const said: Record<string, Ran> = {}
          for (const args of asked) {
            const ran = await run(endpoint, ...args)
            const measured = ['stats', 'statsp', 'imagefsinfo'].includes(args[0] ?? '')
            // On the same things even IDs and process IDs are the same.
            // containerd gives its metrics in whatever order.
            if (args[0] === 'metricdescs') ran.stdout = ran.stdout.split('\n').sort().join('\n')
            said[args.join(' ')] = measured || ran.status !== 0 ? lasting(ran, true) : ran
          }
          return said
        }
        const through = await answers(node.through)
        expect(through).toEqual(await answers(node.straight))
        expect(through['version']?.stdout).toContain('containerd')
        expect(through[`logs ${container}`]?.stdout).toBe('started\n')
        await id(node.through, 'rmp', '--force', pod)
      })

      test('SIGTERM ends the proxy', async () => {
        expect(await node.proxy.stop()).toBe(0)
        expect((await run(node.straight, 'version')).status).toBe(0)
      })
    },
  )
}

interface PodEvent {
  containerEventType: string
  containerId: string
}

/** The events of one pod, as far as they have come whole, without what changes. */
function eventsOf(stdout: string, pod: string): PodEvent[] {
  if (pod === '') return []
  return stdout
    .split(/(?<=^\})\n/m)
    .filter((document) => document.endsWith('}') && document.includes(pod))
    .map((document) => JSON.parse(lasting({ status: 0, stdout: document, stderr: '' }).stdout) as PodEvent)
}
