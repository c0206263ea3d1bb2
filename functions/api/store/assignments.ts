/** Assignments, and which nodes they reach. */
import type { Assignment } from '../../contract/assignments.ts'
import { formatSelector } from '../../contract/selector.ts'
import type { FleetDatabase, Statement } from './fleet-database.ts'

export interface NewAssignment {
  id: string
  /** The labels that a node must have; empty for every node. */
  selector: Readonly<Record<string, string>>
  /** Digests of plans, in order. */
  plans: readonly string[]
  generation: number
}

interface Row {
  id: string
  selector: string
  generation: number
  created_at: number
  plans: string
  nodes: number
}

const SELECT = `
  SELECT id, selector, generation, created_at,
    (SELECT json_group_array(json_object('digest', digest, 'reference', reference, 'snapshotter', snapshotter)) FROM (
       SELECT plans.digest, plans.reference, plans.snapshotter FROM assignment_plans
       JOIN plans ON plans.fleet = assignments.fleet AND plans.digest = assignment_plans.plan_digest
       WHERE assignment_plans.assignment_id = assignments.id ORDER BY assignment_plans.position)) AS plans,
    (SELECT count(*) FROM assigned WHERE assigned.assignment_id = assignments.id) AS nodes
  FROM assignments`

/** Nodes of fleet ?1 that have every label of the JSON object ?2. */
const MATCHING = `
  SELECT id FROM nodes WHERE fleet = ?1 AND NOT EXISTS (
    SELECT 1 FROM json_each(?2) AS want WHERE NOT EXISTS (
      SELECT 1 FROM node_labels AS have
      WHERE have.node_id = nodes.id AND have.key = want.key AND have.value = want.value))`

export function assignmentStore(bound: FleetDatabase) {
  const { db, fleet } = bound
  return {
    /** At most `limit` assignments, oldest first, from the one after an id on. */
    async list(after: string, limit: number): Promise<Assignment[]> {
      const select = db.prepare(`${SELECT} WHERE fleet = ? AND id > ? ORDER BY id LIMIT ?`)
      const { results } = await select.bind(fleet, after, limit).all<Row>()
      return results.map(assignmentOf)
    },

    async find(id: string): Promise<Assignment | undefined> {
      const row = await db.prepare(`${SELECT} WHERE fleet = ? AND id = ?`).bind(fleet, id).first<Row>()
      return row === null ? undefined : assignmentOf(row)
    },

    /** Writes an assignment, gives it to every node that its selector matches, and moves these to its generation: all or nothing. */
    async add(assignment: NewAssignment): Promise<void> {
      await db.batch([...insertions(bound, assignment), moveNodes(bound, assignment.id, assignment.generation)])
    },

    /** Removes an assignment and moves the nodes that it reached to a generation: all or nothing. False if there is none. */
    async remove(id: string, generation: number): Promise<boolean> {
      const select = db.prepare('SELECT 1 AS found FROM assignments WHERE fleet = ? AND id = ?')
      if ((await select.bind(fleet, id).first()) === null) return false
      await db.batch([
        moveNodes(bound, id, generation),
        db.prepare('DELETE FROM assigned WHERE assignment_id = ?').bind(id),
        db.prepare('DELETE FROM assignment_plans WHERE assignment_id = ?').bind(id),
        db.prepare('DELETE FROM assignments WHERE id = ?').bind(id),
      ])
      return true
    },

    /** The highest generation of any node or assignment; 0 for none. */
    async latestGeneration(): Promise<number> {
      const select = db.prepare(
        `SELECT max(coalesce((SELECT max(generation) FROM nodes WHERE fleet = ?1), 0),
                    coalesce((SELECT max(generation) FROM assignments WHERE fleet = ?1), 0)) AS latest`,
      )
      return (await select.bind(fleet).first<number>('latest')) ?? 0
    },
  }
}

/** Writes the rows of an assignment: its own, its plans', and one for each node that its selector matches. */
function insertions({ db, fleet }: FleetDatabase, { id, selector, plans, generation }: NewAssignment): Statement[] {
  const labels = JSON.stringify(selector)
  return [
    db
      .prepare('INSERT INTO assignments (id, fleet, selector, generation, created_at) VALUES (?, ?, ?, ?, ?)')
      .bind(id, fleet, labels, generation, Date.now()),
    db
      .prepare(
        `INSERT INTO assignment_plans (assignment_id, position, plan_digest)
         SELECT ?, plan.key, plan.value FROM json_each(?) AS plan`,
      )
      .bind(id, JSON.stringify(plans)),
    db
      .prepare(`INSERT INTO assigned (node_id, assignment_id) SELECT id, ?3 FROM (${MATCHING})`)
      .bind(fleet, labels, id),
  ]
}

/** Moves the nodes that an assignment reaches to a generation. */
function moveNodes({ db, fleet }: FleetDatabase, assignmentId: string, generation: number): Statement {
  return db
    .prepare(
      `UPDATE nodes SET generation = ?
       WHERE +fleet = ? AND id IN (SELECT node_id FROM assigned WHERE assignment_id = ?)`,
    )
    .bind(generation, fleet, assignmentId)
}

function assignmentOf(row: Row): Assignment {
  return {
    id: row.id,
    selector: formatSelector(JSON.parse(row.selector) as Record<string, string>),
    plans: JSON.parse(row.plans) as Assignment['plans'],
    createdAt: new Date(row.created_at).toISOString(),
    generation: row.generation,
    nodes: row.nodes,
  }
}
