import type { D1Database, D1PreparedStatement } from '@cloudflare/workers-types'
import { equalInConstantTime } from '../auth/hash.ts'
import { newId } from '../store/id.ts'

export interface EnrolInput {
  fleet: string
  name: string
  labels: Readonly<Record<string, string>>
  /** JSON. */
  facts: string
  /** The sha256 of the machine's enrolment key, if it has one. */
  enrolmentSha256: string | null
  joinTokenId: string
  /** The node token to be: its id and what is kept of it. Its text never comes here. */
  token: { id: string; sha256: string }
}

export type EnrolOutcome =
  | { outcome: 'enrolled' | 'again'; nodeId: string }
  | { outcome: 'name-taken' | 'used-up' | 'revoked' }

interface Known {
  id: string
  enrolment_sha256: string | null
}

/**
 * Makes a node, or, where the name is taken, gives the node a new token if the machine proves by its enrolment key that
 * it is the same. Without that proof the name stays taken: else whoever holds a join token could put a node out, or
 * become it. Asking again costs no use of the join token, so that a machine whose answer was lost gets in.
 */
export async function enrol(db: D1Database, input: EnrolInput, generation: number): Promise<EnrolOutcome> {
  const known = await db
    .prepare('SELECT id, enrolment_sha256 FROM nodes WHERE fleet = ? AND name = ?')
    .bind(input.fleet, input.name)
    .first<Known>()
  if (known !== null && !isSame(known, input)) return { outcome: 'name-taken' }
  const refused = await refusal(db, input.joinTokenId, known === null)
  if (refused !== undefined) return { outcome: refused }
  const nodeId = known?.id ?? newId()
  const row = known === null ? insertNode(db, nodeId, input, generation) : updateNode(db, nodeId, input, generation)
  await db.batch([
    ...row,
    ...giveToken(db, nodeId, input),
    ...giveLabels(db, nodeId, input),
    ...giveAssignments(db, nodeId, input),
  ])
  return { outcome: known === null ? 'enrolled' : 'again', nodeId }
}

/** Forgets a node with all that is its own. False if there is none. */
export async function remove(db: D1Database, fleet: string, nodeId: string): Promise<boolean> {
  const known = await db.prepare('SELECT 1 AS known FROM nodes WHERE fleet = ? AND id = ?').bind(fleet, nodeId).first()
  if (known === null) return false
  const tables = ['tokens', 'node_labels', 'assigned', 'reports'].map((table) =>
    db.prepare(`DELETE FROM ${table} WHERE node_id = ?`).bind(nodeId),
  )
  await db.batch([...tables, db.prepare('DELETE FROM nodes WHERE id = ?').bind(nodeId)])
  return true
}

function isSame(known: Known, input: EnrolInput): boolean {
  if (known.enrolment_sha256 === null || input.enrolmentSha256 === null) return false
  return equalInConstantTime(known.enrolment_sha256, input.enrolmentSha256)
}

/** Whether the join token still lets a node in: it may have been revoked, or used up, since the call was let in. */
async function refusal(db: D1Database, id: string, counts: boolean): Promise<'used-up' | 'revoked' | undefined> {
  const row = await db
    .prepare('SELECT uses, max_uses, revoked_at FROM tokens WHERE id = ?')
    .bind(id)
    .first<{ uses: number; max_uses: number | null; revoked_at: number | null }>()
  if (row === null || row.revoked_at !== null) return 'revoked'
  return counts && row.max_uses !== null && row.uses >= row.max_uses ? 'used-up' : undefined
}

function insertNode(db: D1Database, id: string, input: EnrolInput, generation: number): D1PreparedStatement[] {
  const insert = db.prepare(
    `INSERT INTO nodes (id, fleet, name, labels, facts, enrolment_sha256, created_at, seen_at, generation)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)`,
  )
  const { fleet, name, facts, enrolmentSha256 } = input
  return [
    insert.bind(id, fleet, name, JSON.stringify(input.labels), facts, enrolmentSha256, Date.now(), generation),
    db.prepare('UPDATE tokens SET uses = uses + 1 WHERE id = ?').bind(input.joinTokenId),
  ]
}

function updateNode(db: D1Database, id: string, input: EnrolInput, generation: number): D1PreparedStatement[] {
  const update = db.prepare('UPDATE nodes SET labels = ?, facts = ?, seen_at = ?, generation = ? WHERE id = ?')
  return [update.bind(JSON.stringify(input.labels), input.facts, Date.now(), generation, id)]
}

function giveToken(db: D1Database, nodeId: string, { fleet, token }: EnrolInput): D1PreparedStatement[] {
  return [
    db.prepare('DELETE FROM tokens WHERE node_id = ?').bind(nodeId),
    db
      .prepare(`INSERT INTO tokens (id, fleet, scope, sha256, node_id, created_at) VALUES (?, ?, 'node', ?, ?, ?)`)
      .bind(token.id, fleet, token.sha256, nodeId, Date.now()),
  ]
}

function giveLabels(db: D1Database, nodeId: string, { labels }: EnrolInput): D1PreparedStatement[] {
  return [
    db.prepare('DELETE FROM node_labels WHERE node_id = ?').bind(nodeId),
    db
      .prepare(
        `INSERT INTO node_labels (node_id, key, value)
         SELECT ?, label.key, label.value FROM json_each(?) AS label`,
      )
      .bind(nodeId, JSON.stringify(labels)),
  ]
}

function giveAssignments(db: D1Database, nodeId: string, { fleet }: EnrolInput): D1PreparedStatement[] {
  return [
    db.prepare('DELETE FROM assigned WHERE node_id = ?').bind(nodeId),
    db
      .prepare(
        `INSERT INTO assigned (node_id, assignment_id)
         SELECT ?1, id FROM assignments WHERE fleet = ?2 AND NOT EXISTS (
           SELECT 1 FROM json_each(assignments.selector) AS want WHERE NOT EXISTS (
             SELECT 1 FROM node_labels AS have
             WHERE have.node_id = ?1 AND have.key = want.key AND have.value = want.value))`,
      )
      .bind(nodeId, fleet),
  ]
}
