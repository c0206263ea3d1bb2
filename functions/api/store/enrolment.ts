/** How nodes come and go: the rows of a node in all tables, written and removed together. */
import { OWN_NODE } from './fleet-database.ts'
import type { FleetDatabase, Statement } from './fleet-database.ts'

export interface EnrolledNode {
  id: string
  name: string
  labels: Readonly<Record<string, string>>
  /** JSON. */
  facts: string
  /** The sha256 of the machine's enrolment key, or null if it has none. */
  enrolmentSha256: string | null
  joinTokenId: string
  token: { id: string; sha256: string }
  generation: number
}

export function enrolmentStore(bound: FleetDatabase) {
  const { db, fleet } = bound
  return {
    /** The node that has a name, with the hash of its enrolment key. */
    async findByName(name: string): Promise<{ id: string; enrolmentSha256: string | null } | undefined> {
      const select = db.prepare(
        'SELECT id, enrolment_sha256 AS enrolmentSha256 FROM nodes WHERE fleet = ? AND name = ?',
      )
      return (await select.bind(fleet, name).first<{ id: string; enrolmentSha256: string | null }>()) ?? undefined
    },

    /** Writes a new node with its token, its labels and the assignments that match them, and counts a use of the join token. */
    async add(node: EnrolledNode): Promise<void> {
      const insert = db.prepare(
        `INSERT INTO nodes (id, fleet, name, labels, facts, enrolment_sha256, created_at, seen_at, generation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)`,
      )
      const { id, name, facts, enrolmentSha256, generation } = node
      await db.batch([
        insert.bind(id, fleet, name, JSON.stringify(node.labels), facts, enrolmentSha256, Date.now(), generation),
        db.prepare('UPDATE tokens SET uses = uses + 1 WHERE fleet = ? AND id = ?').bind(fleet, node.joinTokenId),
        ...ownRows(bound, node),
      ])
    },

    /** Writes a known node again: its labels, facts, generation, token and assignments. Its name and enrolment key stay. */
    async replace(node: EnrolledNode): Promise<void> {
      const update = db.prepare(
        'UPDATE nodes SET labels = ?, facts = ?, seen_at = ?, generation = ? WHERE fleet = ? AND id = ?',
      )
      const { id, facts, generation } = node
      await db.batch([
        update.bind(JSON.stringify(node.labels), facts, Date.now(), generation, fleet, id),
        ...ownRows(bound, node),
      ])
    },

    /** Removes a node with its token, labels, assignments and reports. False if there is none. */
    async remove(id: string): Promise<boolean> {
      const select = db.prepare('SELECT 1 AS known FROM nodes WHERE fleet = ? AND id = ?')
      if ((await select.bind(fleet, id).first()) === null) return false
      const tables = ['tokens', 'node_labels', 'assigned', 'reports'].map((table) =>
        db.prepare(`DELETE FROM ${table} WHERE node_id = ?`).bind(id),
      )
      await db.batch([...tables, db.prepare('DELETE FROM nodes WHERE id = ?').bind(id)])
      return true
    },
  }
}

/** The token, labels and assignments of a node whose row is written before them, in place of those that it had. */
function ownRows({ db, fleet }: FleetDatabase, { id, labels, token }: EnrolledNode): Statement[] {
  return [
    db.prepare('DELETE FROM tokens WHERE node_id = ?1 AND fleet = ?2').bind(id, fleet),
    db
      .prepare(
        `INSERT INTO tokens (node_id, fleet, id, scope, sha256, created_at) VALUES (${OWN_NODE}, ?2, ?3, 'node', ?4, ?5)`,
      )
      .bind(id, fleet, token.id, token.sha256, Date.now()),
    db.prepare(`DELETE FROM node_labels WHERE node_id = ${OWN_NODE}`).bind(id, fleet),
    db
      .prepare(
        `INSERT INTO node_labels (node_id, key, value)
         SELECT ${OWN_NODE}, label.key, label.value FROM json_each(?3) AS label`,
      )
      .bind(id, fleet, JSON.stringify(labels)),
    db.prepare(`DELETE FROM assigned WHERE node_id = ${OWN_NODE}`).bind(id, fleet),
    db
      .prepare(
        `INSERT INTO assigned (node_id, assignment_id)
         SELECT ${OWN_NODE}, id FROM assignments WHERE fleet = ?2 AND NOT EXISTS (
           SELECT 1 FROM json_each(assignments.selector) AS want WHERE NOT EXISTS (
             SELECT 1 FROM node_labels AS have
             WHERE have.node_id = ?1 AND have.key = want.key AND have.value = want.value))`,
      )
      .bind(id, fleet),
  ]
}
