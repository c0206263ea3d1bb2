import type { D1Database } from '@cloudflare/workers-types'
import type { Facts, Node } from '../../contract/nodes.ts'
import type { NodeCaller } from '../auth/caller.ts'
import { afterKey, pageFrom } from './cursor.ts'
import type { PageQuery } from './cursor.ts'
import { plansOfNodes } from './node-plans.ts'
import type { NodePlan } from './node-plans.ts'

interface NodeRow {
  id: string
  name: string
  labels: string
  facts: string
  created_at: number
  seen_at: number
  generation: number
  reported_generation: number
}

/** How old `seen_at` may grow before a call of the node writes it again: asking often must stay cheap. */
const SEEN_EVERY_MS = 60_000

/** The highest generation that D1 knows of, for a Fleet object that remembers none, or less. */
export async function latestGeneration(db: D1Database, fleet: string): Promise<number> {
  const select = db.prepare(
    `SELECT max(coalesce((SELECT max(generation) FROM nodes WHERE fleet = ?1), 0),
                coalesce((SELECT max(generation) FROM assignments WHERE fleet = ?1), 0)) AS latest`,
  )
  return (await select.bind(fleet).first<number>('latest')) ?? 0
}

export async function listNodes(db: D1Database, fleet: string, query: PageQuery) {
  const select = db.prepare('SELECT * FROM nodes WHERE fleet = ? AND name > ? ORDER BY name LIMIT ?')
  const { results } = await select.bind(fleet, afterKey('nodes', query), query.limit + 1).all<NodeRow>()
  const page = pageFrom(
    'nodes',
    query,
    results,
    (row) => row.name,
    (row) => row,
  )
  const plans = await plansOfNodes(
    db,
    page.items.map((row) => row.id),
  )
  return { ...page, items: page.items.map((row) => nodeOf(row, plans.get(row.id) ?? [])) }
}

export async function findNode(db: D1Database, fleet: string, id: string): Promise<Node | undefined> {
  const select = db.prepare('SELECT * FROM nodes WHERE fleet = ? AND id = ?')
  const row = await select.bind(fleet, id).first<NodeRow>()
  return row === null ? undefined : nodeOf(row, (await plansOfNodes(db, [id])).get(id) ?? [])
}

export async function writeFacts(db: D1Database, nodeId: string, facts: Facts): Promise<void> {
  await db.prepare('UPDATE nodes SET facts = ? WHERE id = ?').bind(JSON.stringify(facts), nodeId).run()
}

/** Notes that a node called, unless that was noted a moment ago. */
export async function noteSeen(db: D1Database, node: NodeCaller): Promise<void> {
  const now = Date.now()
  if (now - node.seenAt < SEEN_EVERY_MS) return
  await db.prepare('UPDATE nodes SET seen_at = max(seen_at, ?) WHERE id = ?').bind(now, node.nodeId).run()
}

function nodeOf(row: NodeRow, plans: NodePlan[]): Node {
  return {
    id: row.id,
    name: row.name,
    labels: JSON.parse(row.labels) as Record<string, string>,
    facts: JSON.parse(row.facts) as Facts,
    createdAt: new Date(row.created_at).toISOString(),
    seenAt: new Date(row.seen_at).toISOString(),
    generation: row.generation,
    reportedGeneration: row.reported_generation,
    plans,
  }
}
