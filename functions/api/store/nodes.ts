/** Nodes: what operators see of them, and the facts and times that nodes write themselves. */
import type { Facts, Node } from '../../contract/nodes.ts'
import type { FleetDatabase } from './fleet-database.ts'
import { plansOfNodes } from './node-plans.ts'
import type { NodePlan } from './node-plans.ts'
import { KNOWN_OF_NODE } from './reports.ts'

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

export function nodeStore(bound: FleetDatabase) {
  const { db, fleet } = bound

  const withPlans = async (rows: readonly NodeRow[]): Promise<Node[]> => {
    const ids = rows.map((row) => row.id)
    const plans = await plansOfNodes(bound, ids)
    return rows.map((row) => nodeOf(row, plans.get(row.id) ?? []))
  }

  return {
    /** At most `limit` nodes, by name, from the one after a name on. */
    async list(after: string, limit: number): Promise<Node[]> {
      const select = db.prepare('SELECT * FROM nodes WHERE fleet = ? AND name > ? ORDER BY name LIMIT ?')
      const { results } = await select.bind(fleet, after, limit).all<NodeRow>()
      return await withPlans(results)
    },

    async find(id: string): Promise<Node | undefined> {
      const row = await db.prepare('SELECT * FROM nodes WHERE fleet = ? AND id = ?').bind(fleet, id).first<NodeRow>()
      return row === null ? undefined : (await withPlans([row]))[0]
    },

    async writeFacts(id: string, facts: Facts): Promise<void> {
      const update = db.prepare('UPDATE nodes SET facts = ? WHERE fleet = ? AND id = ?')
      await update.bind(JSON.stringify(facts), fleet, id).run()
    },

    /** Writes when a node called, in milliseconds since the epoch. A time before the one that is written is passed over. */
    async writeSeen(id: string, at: number): Promise<void> {
      const update = db.prepare('UPDATE nodes SET seen_at = max(seen_at, ?) WHERE fleet = ? AND id = ?')
      await update.bind(at, fleet, id).run()
    },

    /** What the server knows of a node, as a text that names its state; '' if there is no such node. */
    async known(id: string): Promise<string> {
      const select = db.prepare(`SELECT ${KNOWN_OF_NODE} AS known FROM nodes WHERE fleet = ? AND id = ?`)
      return (await select.bind(fleet, id).first<string>('known')) ?? ''
    },
  }
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
