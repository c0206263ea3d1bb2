/** Tokens. Of their texts only the sha256 is kept. Times are in milliseconds since the epoch. */
import type { TokenScope } from '../../contract/route.ts'
import type { FleetDatabase } from './fleet-database.ts'
import { PLANS_OF } from './node-plans.ts'
import { KNOWN_OF_NODE } from './reports.ts'

/** A token, with what the commonest call of a node needs to know of that node: so this call reads the database once. */
export interface StoredToken {
  id: string
  scope: TokenScope
  sha256: string
  expiresAt: number | null
  revokedAt: number | null
  nodeId: string | null
  generation: number | null
  seenAt: number | null
  /** The digests of the plans that the node is assigned, as a JSON array, in order. */
  plans: string
  /** `KNOWN_OF_NODE` of the node. */
  known: string
}

export interface NewJoinToken {
  id: string
  sha256: string
  note: string | null
  createdAt: number
  expiresAt: number
  maxUses: number | null
}

export type JoinToken = Omit<NewJoinToken, 'sha256'> & { uses: number; revokedAt: number | null }

const JOIN_TOKEN = `
  SELECT id, note, created_at AS createdAt, expires_at AS expiresAt, max_uses AS maxUses, uses, revoked_at AS revokedAt
  FROM tokens WHERE fleet = ? AND scope = 'join'`

export function tokenStore({ db, fleet }: FleetDatabase) {
  return {
    /** A token of any scope by its id. */
    async find(id: string): Promise<StoredToken | undefined> {
      const select = db.prepare(
        `SELECT tokens.id, tokens.scope, tokens.sha256, tokens.expires_at AS expiresAt, tokens.revoked_at AS revokedAt,
           tokens.node_id AS nodeId, nodes.generation, nodes.seen_at AS seenAt,
           (SELECT json_group_array(digest) FROM (${PLANS_OF('nodes.id')} ORDER BY place)) AS plans,
           ${KNOWN_OF_NODE} AS known
         FROM tokens LEFT JOIN nodes ON nodes.fleet = tokens.fleet AND nodes.id = tokens.node_id
         WHERE tokens.fleet = ? AND tokens.id = ?`,
      )
      return (await select.bind(fleet, id).first<StoredToken>()) ?? undefined
    },

    async findJoinToken(id: string): Promise<JoinToken | undefined> {
      return (await db.prepare(`${JOIN_TOKEN} AND id = ?`).bind(fleet, id).first<JoinToken>()) ?? undefined
    },

    /** At most `limit` join tokens, oldest first, from the one after an id on. */
    async listJoinTokens(after: string, limit: number): Promise<JoinToken[]> {
      const select = db.prepare(`${JOIN_TOKEN} AND id > ? ORDER BY id LIMIT ?`)
      return (await select.bind(fleet, after, limit).all<JoinToken>()).results
    },

    async addJoinToken(token: NewJoinToken): Promise<void> {
      const insert = db.prepare(
        `INSERT INTO tokens (id, fleet, scope, sha256, note, created_at, expires_at, max_uses)
         VALUES (?, ?, 'join', ?, ?, ?, ?, ?)`,
      )
      const { id, sha256, note, createdAt, expiresAt, maxUses } = token
      await insert.bind(id, fleet, sha256, note, createdAt, expiresAt, maxUses).run()
    },

    /** Revokes a join token; the time of an earlier revocation stays. False if there is no such token. */
    async revokeJoinToken(id: string): Promise<boolean> {
      const update = db.prepare(
        `UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE fleet = ? AND scope = 'join' AND id = ?`,
      )
      return (await update.bind(Date.now(), fleet, id).run()).meta.changes > 0
    },
  }
}
