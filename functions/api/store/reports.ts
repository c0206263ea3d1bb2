/** Reports: the newest that each node sent of each of its plans. */
import type { z } from '@hono/zod-openapi'
import type { planReport } from '../../contract/nodes.ts'
import { OWN_NODE } from './fleet-database.ts'
import type { FleetDatabase } from './fleet-database.ts'

export type PlanReport = z.output<typeof planReport>

/**
 * SQL, for a row of `nodes`: what the server knows of the node (its facts and reports), as a text that differs between any two
 * states. So a database that was put back from a backup gives another text. The times of the reports are added up instead of
 * taking the newest: where the clock was set back, a later report has an earlier time.
 */
export const KNOWN_OF_NODE = `json_array(nodes.facts, nodes.reported_generation,
  (SELECT json_array(count(*), sum(reports.reported_at)) FROM reports WHERE reports.node_id = nodes.id))`

export function reportStore({ db, fleet }: FleetDatabase) {
  return {
    /** Of each plan that a node is assigned, the generation of the last report; -1 where there is none. By plan digest. */
    async generations(nodeId: string): Promise<Map<string, number>> {
      const select = db.prepare(
        `SELECT DISTINCT assignment_plans.plan_digest AS digest, coalesce(reports.generation, -1) AS generation
         FROM assigned JOIN assignment_plans USING (assignment_id)
         LEFT JOIN reports ON reports.node_id = assigned.node_id AND reports.plan_digest = assignment_plans.plan_digest
         WHERE assigned.node_id = ${OWN_NODE}`,
      )
      const { results } = await select.bind(nodeId, fleet).all<{ digest: string; generation: number }>()
      return new Map(results.map((row) => [row.digest, row.generation]))
    },

    /**
     * Writes a node's reports on a generation, all or none. A report that says what is written already changes nothing, not
     * even its time; one on an older generation than the written one is passed over.
     */
    async write(nodeId: string, generation: number, reports: readonly PlanReport[]): Promise<void> {
      await db.batch([
        db
          .prepare('UPDATE nodes SET reported_generation = max(reported_generation, ?3) WHERE id = ?1 AND fleet = ?2')
          .bind(nodeId, fleet, generation),
        db.prepare(UPSERT).bind(nodeId, fleet, generation, Date.now(), JSON.stringify(reports)),
      ])
    },
  }
}

const UPSERT = `
  INSERT INTO reports (node_id, plan_digest, generation, state, error_code, error_message, chain_id, duration_ms,
                       lazy_layers, lazy_of, reported_at)
  SELECT ?1, value ->> 'digest', ?3, value ->> 'state', value ->> '$.error.code', value ->> '$.error.message',
         value ->> 'chainID', value ->> 'durationMs', value ->> '$.lazy.layers', value ->> '$.lazy.of', ?4
  FROM json_each(?5) WHERE ${OWN_NODE} IS NOT NULL
  ON CONFLICT (node_id, plan_digest) DO UPDATE SET
    generation = excluded.generation, state = excluded.state, error_code = excluded.error_code,
    error_message = excluded.error_message, chain_id = excluded.chain_id, duration_ms = excluded.duration_ms,
    lazy_layers = excluded.lazy_layers, lazy_of = excluded.lazy_of, reported_at = excluded.reported_at
  WHERE excluded.generation > reports.generation OR (
    excluded.generation = reports.generation AND
    (excluded.state, excluded.error_code, excluded.error_message, excluded.chain_id, excluded.duration_ms,
     excluded.lazy_layers, excluded.lazy_of) IS NOT
    (reports.state, reports.error_code, reports.error_message, reports.chain_id, reports.duration_ms,
     reports.lazy_layers, reports.lazy_of))`
