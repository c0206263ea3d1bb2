/** Which of a node's reports count. */
import type { Digest } from '../../image/digest.ts'
import type { PlanReport } from '../store/reports.ts'
import type { Store } from '../store/store.ts'

interface Ignored {
  digest: Digest
  reason: 'not-assigned' | 'older'
}

/**
 * Records what a node reports of its plans at a generation. A report on a plan that the node is no longer assigned, or on an
 * older generation than the last one recorded for that plan, is ignored and named. Recording a report twice changes nothing.
 */
export async function recordReport(
  store: Store,
  nodeId: string,
  generation: number,
  reports: readonly PlanReport[],
): Promise<{ recorded: number; ignored: Ignored[] }> {
  const generations = await store.reports.generations(nodeId)
  const ignored: Ignored[] = []
  const recorded: PlanReport[] = []
  for (const report of reports) {
    const last = generations.get(report.digest)
    if (last === undefined) ignored.push({ digest: report.digest, reason: 'not-assigned' })
    else if (last > generation) ignored.push({ digest: report.digest, reason: 'older' })
    else recorded.push(report)
  }
  await store.reports.write(nodeId, generation, recorded)
  return { recorded: recorded.length, ignored }
}
