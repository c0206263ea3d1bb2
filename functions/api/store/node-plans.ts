/** Which plans nodes should have, and what they said of them. */
import type { D1Database } from '@cloudflare/workers-types'
import type { Node } from '../../contract/nodes.ts'
import type { OwnAssignment } from '../../contract/own-node.ts'
import type { Digest } from '../../image/digest.ts'

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

/** Each plan once, with its place in the order of the assignments that brought it, for the nodes of an SQL expression. */
export const PLANS_OF = (nodes: string): string => `
  SELECT assigned.node_id, assignment_plans.plan_digest AS digest,
         min(assigned.assignment_id || printf('%04d', assignment_plans.position)) AS place
  FROM assigned JOIN assignment_plans USING (assignment_id)
  WHERE assigned.node_id IN (${nodes})
  GROUP BY assigned.node_id, assignment_plans.plan_digest`

/** For all nodes in the JSON array ?1. */
const PLANS = PLANS_OF('SELECT value FROM json_each(?1)')

/** What these nodes should have, with what each reported, by node. */
export async function plansOfNodes(db: D1Database, nodeIds: readonly string[]): Promise<Map<string, NodePlan[]>> {
  const select = db.prepare(
    `SELECT due.node_id, due.digest, plans.reference, plans.snapshotter, reports.state, reports.generation,
            reports.error_code, reports.error_message, reports.chain_id, reports.duration_ms, reports.lazy_layers,
            reports.lazy_of, reports.reported_at
     FROM (${PLANS}) AS due
     JOIN nodes ON nodes.id = due.node_id
     JOIN plans ON plans.fleet = nodes.fleet AND plans.digest = due.digest
     LEFT JOIN reports ON reports.node_id = due.node_id AND reports.plan_digest = due.digest
     ORDER BY due.node_id, due.place`,
  )
  const { results } = await select.bind(JSON.stringify(nodeIds)).all<Row>()
  return groupPlans(results)
}

/** The assignment of one node. */
export async function ownAssignment(db: D1Database, nodeId: string): Promise<OwnAssignment> {
  const [node, plans] = await db.batch([
    db.prepare('SELECT generation FROM nodes WHERE id = ?').bind(nodeId),
    db
      .prepare(
        `SELECT due.digest, plans.reference, plans.snapshotter FROM (${PLANS}) AS due
         JOIN nodes ON nodes.id = due.node_id
         JOIN plans ON plans.fleet = nodes.fleet AND plans.digest = due.digest ORDER BY due.place`,
      )
      .bind(JSON.stringify([nodeId])),
  ])
  const generation = (node?.results[0] as { generation: number } | undefined)?.generation ?? 0
  return { generation, plans: (plans?.results ?? []) as OwnAssignment['plans'] }
}

/** Whether a node's assignment has a plan. */
export async function isAssigned(db: D1Database, nodeId: string, digest: string): Promise<boolean> {
  const select = db.prepare(
    `SELECT 1 AS found FROM assigned JOIN assignment_plans USING (assignment_id)
     WHERE node_id = ? AND plan_digest = ? LIMIT 1`,
  )
  return (await select.bind(nodeId, digest).first()) !== null
}

/** Whether a document belongs to the image of a plan in a node's assignment. */
export async function isOfAssignedImage(db: D1Database, nodeId: string, digest: string): Promise<boolean> {
  const select = db.prepare(
    `SELECT 1 AS found FROM assigned JOIN assignment_plans USING (assignment_id)
     JOIN nodes ON nodes.id = assigned.node_id
     JOIN plans ON plans.fleet = nodes.fleet AND plans.digest = assignment_plans.plan_digest
     WHERE assigned.node_id = ?1 AND ?2 IN (plans.manifest_digest, plans.config_digest) LIMIT 1`,
  )
  return (await select.bind(nodeId, digest).first()) !== null
}

function groupPlans(rows: readonly Row[]): Map<string, NodePlan[]> {
  const byNode = new Map<string, NodePlan[]>()
  for (const row of rows) {
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
    ...(row.error_code === null ? {} : { error: { code: row.error_code, message: row.error_message ?? '' } }),
    ...(row.chain_id === null ? {} : { chainID: row.chain_id }),
    ...(row.duration_ms === null ? {} : { durationMs: row.duration_ms }),
    ...(row.lazy_layers === null || row.lazy_of === null ? {} : { lazy: { layers: row.lazy_layers, of: row.lazy_of } }),
    ...(row.generation === null ? {} : { generation: row.generation }),
    ...(row.reported_at === null ? {} : { reportedAt: new Date(row.reported_at).toISOString() }),
  }
}
