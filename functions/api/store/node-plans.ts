/** The plans of nodes: what their assignments give them, and what each node reported of each. */
import type { Node } from '../../contract/nodes.ts'
import type { OwnAssignment } from '../../contract/own-node.ts'
import type { Digest } from '../../image/digest.ts'
import { OWN_NODE } from './fleet-database.ts'
import type { FleetDatabase } from './fleet-database.ts'

export type NodePlan = Node['plans'][number]

interface Row {
  node_id: string
  digest: Digest
  reference: string
  snapshotter: string
  state: NodePlan['state'] | null
  generation: number | null
  error_code: string | null
  error_message: string | null
  chain_id: string | null
  duration_ms: number | null
  lazy_layers: number | null
  lazy_of: number | null
  reported_at: number | null
}

/**
 * SQL: the plans that the nodes of an SQL expression are assigned. A plan that several assignments bring stands once for
 * each node; `place` sorts by the oldest of these assignments, then by the plan's position in it.
 */
export const PLANS_OF = (nodes: string): string => `
  SELECT assigned.node_id, assignment_plans.plan_digest AS digest,
         min(assigned.assignment_id || printf('%04d', assignment_plans.position)) AS place
  FROM assigned JOIN assignment_plans USING (assignment_id)
  WHERE assigned.node_id IN (${nodes})
  GROUP BY assigned.node_id, assignment_plans.plan_digest`

export function nodePlanStore({ db, fleet }: FleetDatabase) {
  return {
    /** The assignment of one node: its generation and its plans, in order. */
    async ofNode(nodeId: string): Promise<OwnAssignment> {
      const [node, plans] = await db.batch([
        db.prepare('SELECT generation FROM nodes WHERE id = ?1 AND fleet = ?2').bind(nodeId, fleet),
        db
          .prepare(
            `SELECT assigned_plans.digest, plans.reference, plans.snapshotter
             FROM (${PLANS_OF(OWN_NODE)}) AS assigned_plans
             CROSS JOIN plans ON plans.fleet = ?2 AND plans.digest = assigned_plans.digest ORDER BY assigned_plans.place`,
          )
          .bind(nodeId, fleet),
      ])
      const generation = (node?.results[0] as { generation: number } | undefined)?.generation ?? 0
      return { generation, plans: (plans?.results ?? []) as OwnAssignment['plans'] }
    },

    /** Whether a plan is among those of a node's assignment. */
    async isAssigned(nodeId: string, planDigest: string): Promise<boolean> {
      const select = db.prepare(
        `SELECT 1 AS found FROM assigned JOIN assignment_plans USING (assignment_id)
         WHERE assigned.node_id = ${OWN_NODE} AND plan_digest = ?3 LIMIT 1`,
      )
      return (await select.bind(nodeId, fleet, planDigest).first()) !== null
    },

    /** Whether a document is the manifest or config of a plan in a node's assignment. */
    async isOfAssignedImage(nodeId: string, documentDigest: string): Promise<boolean> {
      const select = db.prepare(
        `SELECT 1 AS found FROM assigned JOIN assignment_plans USING (assignment_id)
         CROSS JOIN plans ON plans.fleet = ?2 AND plans.digest = assignment_plans.plan_digest
         WHERE assigned.node_id = ${OWN_NODE} AND ?3 IN (plans.manifest_digest, plans.config_digest) LIMIT 1`,
      )
      return (await select.bind(nodeId, fleet, documentDigest).first()) !== null
    },
  }
}

/** The plans of several nodes, with what each node reported of them, by node. */
export async function plansOfNodes(
  { db, fleet }: FleetDatabase,
  nodeIds: readonly string[],
): Promise<Map<string, NodePlan[]>> {
  const select = db.prepare(
    `SELECT assigned_plans.node_id, assigned_plans.digest, plans.reference, plans.snapshotter, reports.state,
            reports.generation, reports.error_code, reports.error_message, reports.chain_id, reports.duration_ms,
            reports.lazy_layers, reports.lazy_of, reports.reported_at
     FROM (${PLANS_OF('SELECT value FROM json_each(?1)')}) AS assigned_plans
     CROSS JOIN nodes ON nodes.id = assigned_plans.node_id AND +nodes.fleet = ?2
     CROSS JOIN plans ON plans.fleet = ?2 AND plans.digest = assigned_plans.digest
     LEFT JOIN reports
       ON reports.node_id = assigned_plans.node_id AND reports.plan_digest = assigned_plans.digest
     ORDER BY assigned_plans.node_id, assigned_plans.place`,
  )
  const { results } = await select.bind(JSON.stringify(nodeIds), fleet).all<Row>()
  const byNode = new Map<string, NodePlan[]>()
  for (const row of results) {
    const plans = byNode.get(row.node_id) ?? []
    plans.push(nodePlanOf(row))
    byNode.set(row.node_id, plans)
  }
  return byNode
}

function nodePlanOf(row: Row): NodePlan {
  const { digest, reference, snapshotter } = row
  if (row.state === null) return { digest, reference, snapshotter, state: 'pending' }
  return {
    digest,
    reference,
    snapshotter,
    state: row.state,
    error: row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? '' },
    chainID: row.chain_id ?? undefined,
    durationMs: row.duration_ms ?? undefined,
    lazy: row.lazy_layers === null || row.lazy_of === null ? undefined : { layers: row.lazy_layers, of: row.lazy_of },
    generation: row.generation ?? undefined,
    reportedAt: row.reported_at === null ? undefined : new Date(row.reported_at).toISOString(),
  }
}
