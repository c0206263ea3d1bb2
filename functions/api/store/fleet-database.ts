/** What the statements of this room run against: a D1 database, and the fleet whose rows they may touch. */
import type { D1Database, D1PreparedStatement } from '@cloudflare/workers-types'

export type Database = D1Database
export type Statement = D1PreparedStatement

export interface FleetDatabase {
  db: Database
  fleet: string
}

/**
 * SQL: the id of node ?1 if it is in fleet ?2, else NULL. Tables without a column `fleet` are reached through it, so that a
 * foreign node's id matches no row, and breaks NOT NULL where a row is inserted.
 */
export const OWN_NODE = '(SELECT id FROM nodes WHERE id = ?1 AND fleet = ?2)'
