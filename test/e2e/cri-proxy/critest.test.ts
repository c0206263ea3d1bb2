import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { versionsBehindProxy } from '../../support/containerd/versions.ts'
import { TEST_IMAGES } from '../../support/cri/critest-images.ts'
import { isWhole, lacking, OTHER_HANDLER, startCriNode, tools, type CriNode } from './support/node.ts'
import { runProgram } from './support/programs.ts'

/** What becomes of one spec, with what it says where it fails. */
type Outcome = { state: string; failure: string }

interface Spec {
  ContainerHierarchyTexts: string[] | null
  LeafNodeText: string
  LeafNodeType: string
  State: string
  Failure?: { Message?: string }
}

/** One of each kind of call, for a short run. */
const SHORT = [
  'Idempotence',
  'Image Consistency',
  'basic operations on PodSandbox',
  'support (stopping container|execSync \\[|listing container stats)',
  'exec with tty',
].join('|')
/** Specs that reach into a pod's network from outside; here pods have but a loopback device. They would each wait a minute. */
const NETWORK = 'port mapping|runtime should support portforward \\[|should support network$'

/** Which specs run for which runtime handler, and how many of them pass at least. */
const RUNS: readonly { handler: string; focus: string; fewest: number }[] = isWhole
  ? [
      { handler: OTHER_HANDLER, focus: '', fewest: 85 },
      { handler: '', focus: SHORT, fewest: 12 },
    ]
  : [{ handler: OTHER_HANDLER, focus: SHORT, fewest: 12 }]
/**
 * So often the specs that differ are run again, on both: some of them hang on what comes first in a busy machine, as whether containerd
 * hears of a container's end before or after its lack of memory. What the proxy does wrong is wrong each time.
 */
const ROUNDS = 2
/** Two whole runs, on a machine that does other things meanwhile. */
const WHOLE_MS = 1_800_000

/** A failure without what is another one at each run: IDs, addresses in memory, times. */
const lasting = (message = ''): string =>
  message
    .replaceAll(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g, 'UUID')
    .replaceAll(/\b[0-9a-f]{32,}\b/g, 'ID')
    .replaceAll(/0x[0-9a-f]+/g, 'ADDRESS')
    .replaceAll(/\d+\.\d{3}s/g, 'TIME')

/** The IDs of shared memory segments of the size that critest makes, which it leaves behind. */
async function sharedMemory(): Promise<string[]> {
  const [, ...lines] = (await readFile('/proc/sysvipc/shm', 'utf8')).trim().split('\n')
  return lines
    .map((line) => line.trim().split(/ +/))
    .flatMap(([, id, , size]) => (size === '1048576' && id ? [id] : []))
}

for (const version of versionsBehindProxy()) {
  const missing = await lacking(version)
  describe.skipIf(missing !== '')(
    `critest, straight and through the CRI proxy, containerd ${version}${missing && ` (skipped: ${missing})`}`,
    () => {
      let node: CriNode
      let before: ReadonlySet<string>
      let reports = 0

      beforeAll(async () => {
        before = new Set(await sharedMemory())
        node = await startCriNode(version)
        await writeFile(join(node.containerd.files, 'images.yaml'), JSON.stringify(TEST_IMAGES))
      })
      afterAll(async () => {
        await node?.stop()
        for (const id of await sharedMemory()) {
          if (!before.has(id)) await promisify(execFile)('ipcrm', ['--shmem-id', id])
        }
      })

      async function critest(endpoint: string, handler: string, focus: string): Promise<Map<string, Outcome>> {
        if ('missing' in tools) throw new Error(tools.missing)
        const report = join(node.containerd.files, `report-${++reports}.json`)
        const ran = await runProgram(
          tools.critest,
          [
            `--runtime-endpoint=${endpoint}`,
            `--runtime-handler=${handler}`,
            `--test-images-file=${join(node.containerd.files, 'images.yaml')}`,
            // The specs in one order: at another one each run finds other images there.
            '--ginkgo.seed=1',
            `--ginkgo.skip=${NETWORK}`,
            ...(focus === '' ? [] : [`--ginkgo.focus=${focus}`]),
            `--ginkgo.json-report=${report}`,
            '--ginkgo.no-color',
            '--test.timeout=0',
          ],
          node.containerd.files,
        )
        const suites = JSON.parse(await readFile(report, 'utf8').catch(() => '[]')) as { SpecReports: Spec[] }[]
        const specs = suites.flatMap(({ SpecReports }) => SpecReports).filter((spec) => spec.LeafNodeType === 'It')
        if (specs.length === 0) throw new Error(ran.stdout + ran.stderr)
        return new Map(
          specs.map((spec) => [
            [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(' '),
            { state: spec.State, failure: lasting(spec.Failure?.Message) },
          ]),
        )
      }

      test.for(RUNS)(
        `every spec comes out the same, for the runtime handler '$handler'`,
        { timeout: WHOLE_MS },
        async ({ handler, focus, fewest }) => {
          // Through the proxy first: what the handler lacks is made ready then, not by containerd.
          const through = await critest(node.through, handler, focus)
          const straight = await critest(node.straight, handler, focus)
          for (let round = 0; round < ROUNDS; round++) {
            const differing = [...through.keys()].filter(
              (name) => !isDeepStrictEqual(through.get(name), straight.get(name)),
            )
            if (differing.length === 0) break
            const again = differing.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
            for (const [outcomes, endpoint] of [
              [through, node.through],
              [straight, node.straight],
            ] as const) {
              const renewed = await critest(endpoint, handler, again)
              for (const name of differing) outcomes.set(name, renewed.get(name) ?? { state: 'missing', failure: '' })
            }
          }
          expect(Object.fromEntries(through)).toEqual(Object.fromEntries(straight))
          const passed = [...through.values()].filter(({ state }) => state === 'passed')
          expect(passed.length).toBeGreaterThanOrEqual(fewest)
        },
      )

      test('what the handler lacked was made ready, and nothing failed in the proxy', () => {
        expect(node.proxy.log()).toContain('"unpacked"')
        expect(node.proxy.log().match(/.*"type":"failed".*/g)).toBeNull()
      })
    },
  )
}
