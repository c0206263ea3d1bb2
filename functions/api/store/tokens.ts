import type { D1Database } from '@cloudflare/workers-types'
import type { Scope } from '../auth/token.ts'
import { afterKey, pageFrom } from './cursor.ts'
import type { PageQuery } from './cursor.ts'
import { PLANS_OF } from './node-plans.ts'
import { KNOWN } from './reports.ts'

export interface TokenRow {
  id: string
  fleet: string
  scope: Scope
  sha256: string
  node_id: string | null
  note: string | null
  created_at: number
  expires_at: number | null
  max_uses: number | null
  uses: number
  revoked_at: number | null
}

/** A token with what its node's own calls need, so that the commonest of them reads the database once. */
export interface TokenWithNode extends TokenRow {
  generation: number | null
  seen_at: number | null
  /** The digests of the plans that the node should have, as a JSON array, in order. */
  plans: string
  /** What the server knows of the node, in a text that tells its states apart. */
  known: string
}

/** A token by its id, with its node's generation and plans. */
export async function findToken(db: D1Database, id: string): Promise<TokenWithNode | null> {
  const select = db.prepare(
    `SELECT tokens.*, nodes.generation, nodes.seen_at,
       (SELECT json_group_array(digest) FROM (${PLANS_OF('tokens.node_id')} ORDER BY place)) AS plans,
       ${KNOWN} AS known
     FROM tokens
     LEFT JOIN nodes ON nodes.id = tokens.node_id WHERE tokens.id = ?`,
  )
  return await select.bind(id).first<TokenWithNode>()
}

export async function keepJoinToken(
  db: D1Database,
  token: Pick<TokenRow, 'id' | 'fleet' | 'sha256' | 'note' | 'created_at' | 'expires_at' | 'max_uses'>,
): Promise<void> {
  const insert = db.prepare(
    `INSERT INTO tokens (id, fleet, scope, sha256, note, created_at, expires_at, max_uses)
     VALUES (?, ?, 'join', ?, ?, ?, ?, ?)`,
  )
  await insert
    .bind(token.id, token.fleet, token.sha256, token.note, token.created_at, token.expires_at, token.max_uses)
    .run()
}

export async function listJoinTokens(db: D1Database, fleet: string, query: PageQuery) {
  const select = db.prepare(`SELECT * FROM tokens WHERE fleet = ? AND scope = 'join' AND id > ? ORDER BY id LIMIT ?`)
  const { results } = await select.bind(fleet, afterKey('join-tokens', query), query.limit + 1).all<TokenRow>()
  return pageFrom('join-tokens', query, results, (row) => row.id, joinTokenOf)
}

/** Revokes a join token; revoking it again changes nothing. False if there is none. */
export async function revokeJoinToken(db: D1Database, fleet: string, id: string): Promise<boolean> {
  const update = db.prepare(
    `UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE fleet = ? AND scope = 'join' AND id = ?`,
  )
  return (await update.bind(Date.now(), fleet, id).run()).meta.changes > 0
}

/** A join token as operators see it. */
export function joinTokenOf(row: Omit<TokenRow, 'sha256' | 'scope' | 'node_id' | 'fleet'>) {
  return {
    id: row.id,
    ...(row.note === null ? {} : { note: row.note }),
    createdAt: new Date(row.created_at).toISOString(),
    expiresAt: new Date(row.expires_at ?? 0).toISOString(),
    ...(row.max_uses === null ? {} : { maxUses: row.max_uses }),
    uses: row.uses,
    state: stateOf(row),
  }
}

function stateOf(row: Pick<TokenRow, 'revoked_at' | 'expires_at' | 'max_uses' | 'uses'>) {
  if (row.revoked_at !== null) return 'revoked' as const
  if (row.expires_at !== null && row.expires_at <= Date.now()) return 'expired' as const
  if (row.max_uses !== null && row.uses >= row.max_uses) return 'used-up' as const
  return 'usable' as const
}
