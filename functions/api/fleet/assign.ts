import type { D1Database } from '@cloudflare/workers-types'
import { newId } from '../store/id.ts'

export interface AssignInput {
  fleet: string
  /** The labels that a node must have. */
  selector: Readonly<Record<string, string>>
  plans: readonly string[]
}

/** Nodes of fleet ?1 that have every label of the JSON object ?2. */
const MATCHING = `
  SELECT id FROM nodes WHERE fleet = ?1 AND NOT EXISTS (
    SELECT 1 FROM json_each(?2) AS want WHERE NOT EXISTS (
      SELECT 1 FROM node_labels AS have
      WHERE have.node_id = nodes.id AND have.key = want.key AND have.value = want.value))`

/** Keeps an assignment and moves every node it reaches to the generation, all or nothing. Gives its id. */
export async function assign(db: D1Database, input: AssignInput, generation: number): Promise<string> {
  const id = newId()
  const selector = JSON.stringify(input.selector)
  await db.batch([
    db
      .prepare('INSERT INTO assignments (id, fleet, selector, generation, created_at) VALUES (?, ?, ?, ?, ?)')
      .bind(id, input.fleet, selector, generation, Date.now()),
    db
      .prepare(
        `INSERT INTO assignment_plans (assignment_id, position, plan_digest)
         SELECT ?, plan.key, plan.value FROM json_each(?) AS plan`,
      )
      .bind(id, JSON.stringify(input.plans)),
    db
      .prepare(`INSERT INTO assigned (node_id, assignment_id) SELECT id, ?3 FROM (${MATCHING})`)
      .bind(input.fleet, selector, id),
    moveNodes(db, id, generation),
  ])
  return id
}

/** Takes an assignment back and moves the nodes that it reached, all or nothing. False if there is none. */
export async function unassign(db: D1Database, fleet: string, id: string, generation: number): Promise<boolean> {
  const found = await db
    .prepare('SELECT 1 AS found FROM assignments WHERE fleet = ? AND id = ?')
    .bind(fleet, id)
    .first()
  if (found === null) return false
  await db.batch([
    moveNodes(db, id, generation),
    db.prepare('DELETE FROM assigned WHERE assignment_id = ?').bind(id),
    db.prepare('DELETE FROM assignment_plans WHERE assignment_id = ?').bind(id),
    db.prepare('DELETE FROM assignments WHERE id = ?').bind(id),
  ])
  return true
}

function moveNodes(db: D1Database, assignment: string, generation: number) {
  return db
    .prepare('UPDATE nodes SET generation = ? WHERE id IN (SELECT node_id FROM assigned WHERE assignment_id = ?)')
    .bind(generation, assignment)
}
