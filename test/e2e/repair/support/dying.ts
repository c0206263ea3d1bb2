/**
 * A writing verb's work in a process of its own, which kills itself after a call of the backend's. Argument: JSON of
 * DyingTask. Says nothing: what it leaves is what counts.
 */
import { readFile } from 'node:fs/promises'
import { openBackend, type BackendOptions } from '../../../../functions/node/open.ts'
import { parsePlan } from '../../../../functions/plan/parse.ts'
import { removeSnapshots } from '../../../../functions/runner/chain/removal.ts'
import { repairChain } from '../../../../functions/runner/repair/repair.ts'
import { importSource } from '../../../runner/images/support.ts'
import { intercept } from '../../../runner/unpack/support/intercept.ts'

export interface DyingTask {
  backend: BackendOptions
  work:
    | { verb: 'repair'; plan: string }
    | { verb: 'import'; source: string; reference: string }
    | { verb: 'rm'; snapshotter: string; names: string[] }
  /** SIGKILLs itself once so many of these calls have been answered. */
  killAfter: { call: string; times: number }
}

const { backend: options, work, killAfter } = JSON.parse(process.argv[2] ?? '') as DyingTask
let times = 0
const opened = await openBackend(options)
const backend = intercept(opened, async ({ name }, goOn) => {
  const answer = await goOn()
  if (name === killAfter.call && ++times === killAfter.times) process.kill(process.pid, 'SIGKILL')
  return answer
})
if (work.verb === 'repair') await repairChain({ backend, planned: parsePlan(await readFile(work.plan)), deep: true })
if (work.verb === 'import') await importSource(backend, work.source, { reference: work.reference })
if (work.verb === 'rm') {
  const { signal } = new AbortController()
  await removeSnapshots(backend, backend.snapshotter(work.snapshotter), { names: work.names, signal })
}
await opened.close()
