import type { D1Database } from '@cloudflare/workers-types'
import type { z } from '@hono/zod-openapi'
import type { planReport } from '../../contract/nodes.ts'
import type { Digest } from '../../image/digest.ts'

type PlanReport = z.output<typeof planReport>

interface Ignored {
  digest: Digest
  reason: 'not-assigned' | 'older'
}

/**
 * Of a row of `nodes`: its facts, and when which of its reports came, so that an older state of the database has another.
 * The times are added up, since a newer one may be lower where the clock was set.
 */
export const KNOWN = `json_array(nodes.facts, nodes.reported_generation,
  (SELECT json_array(count(*), sum(reports.reported_at)) FROM reports WHERE reports.node_id = nodes.id))`

/** What the server knows of a node now. */
export async function knownOf(db: D1Database, nodeId: string): Promise<string> {
  const select = db.prepare(`SELECT ${KNOWN} AS known FROM nodes WHERE id = ?`)
  return (await select.bind(nodeId).first<string>('known')) ?? ''
}

/**
 * Records what a node says of its plans. What it says of a plan that it no longer should have, or about an older
 * generation than it spoke of before, is passed over and named. The same report again changes nothing.
 */
export async function recordReport(
  db: D1Database,
  nodeId: string,
  generation: number,
  reports: readonly PlanReport[],
): Promise<{ recorded: number; ignored: Ignored[] }> {
  const known = await knownGenerations(db, nodeId)
  const ignored: Ignored[] = []
  const good: PlanReport[] = []
  for (const report of reports) {
    const before = known.get(report.digest)
    if (before === undefined) ignored.push({ digest: report.digest, reason: 'not-assigned' })
    else if (before > generation) ignored.push({ digest: report.digest, reason: 'older' })
    else good.push(report)
  }
  await db.batch([
    db
      .prepare('UPDATE nodes SET reported_generation = max(reported_generation, ?) WHERE id = ?')
      .bind(generation, nodeId),
    upsert(db, nodeId, generation, good),
  ])
  return { recorded: good.length, ignored }
}

/** The generation of the last report on each plan that the node should have; -1 where there was none. */
async function knownGenerations(db: D1Database, nodeId: string): Promise<Map<string, number>> {
  const select = db.prepare(
    `SELECT DISTINCT assignment_plans.plan_digest AS digest, coalesce(reports.generation, -1) AS generation
     FROM assigned JOIN assignment_plans USING (assignment_id)
     LEFT JOIN reports ON reports.node_id = assigned.node_id AND reports.plan_digest = assignment_plans.plan_digest
     WHERE assigned.node_id = ?`,
  )
  const { results } = await select.bind(nodeId).all<{ digest: string; generation: number }>()
  return new Map(results.map((row) => [row.digest, row.generation]))
}

function upsert(db: D1Database, nodeId: string, generation: number, reports: readonly PlanReport[]) {
  return db
    .prepare(
      `INSERT INTO reports (node_id, plan_digest, generation, state, error_code, error_message, chain_id, duration_ms,
                            lazy_layers, lazy_of, reported_at)
       SELECT ?1, value ->> 'digest', ?2, value ->> 'state', value ->> '$.error.code', value ->> '$.error.message',
              value ->> 'chainID', value ->> 'durationMs', value ->> '$.lazy.layers', value ->> '$.lazy.of', ?3
       FROM json_each(?4) WHERE true
       ON CONFLICT (node_id, plan_digest) DO UPDATE SET
         generation = excluded.generation, state = excluded.state, error_code = excluded.error_code,
         error_message = excluded.error_message, chain_id = excluded.chain_id, duration_ms = excluded.duration_ms,
         lazy_layers = excluded.lazy_layers, lazy_of = excluded.lazy_of, reported_at = excluded.reported_at
       WHERE excluded.generation > reports.generation OR (
         excluded.generation = reports.generation AND
         (excluded.state, excluded.error_code, excluded.error_message, excluded.chain_id, excluded.duration_ms,
          excluded.lazy_layers, excluded.lazy_of) IS NOT
         (reports.state, reports.error_code, reports.error_message, reports.chain_id, reports.duration_ms,
          reports.lazy_layers, reports.lazy_of))`,
    )
    .bind(nodeId, generation, Date.now(), JSON.stringify(reports))
}
