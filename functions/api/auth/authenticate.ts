/** From an Authorization header to a caller (RFC 6750, section 2.1). */
import { LayercastError } from '../../errors.ts'
import { FLEET } from '../env.ts'
import type { Env } from '../env.ts'
import { findToken } from '../store/tokens.ts'
import type { TokenWithNode } from '../store/tokens.ts'
import type { Caller } from './caller.ts'
import { equalInConstantTime, sha256Hex } from './hash.ts'
import { readToken } from './token.ts'

/** Compared against where no token has the id, so that an unknown id takes as long as a wrong secret. */
const NO_HASH = '0'.repeat(64)

/**
 * The caller that a token proves. TOKEN_MISSING without one, TOKEN_INVALID if it is none of ours, TOKEN_EXPIRED and
 * TOKEN_REVOKED, told only to whom holds the secret.
 */
export async function authenticate(env: Env, header: string | undefined): Promise<Caller> {
  if (header === undefined) {
    throw new LayercastError('TOKEN_MISSING', 'this call needs a token', {
      fix: 'Send one as Authorization: Bearer lc_...',
    })
  }
  const text = /^Bearer +(\S+)$/i.exec(header)?.[1] ?? ''
  const token = readToken(text)
  if (token === undefined) throw invalid()
  const sha256 = await sha256Hex(text)
  if (token.scope === 'operator' && isFirstOperator(env, sha256)) return { scope: 'operator' }
  const row = await findToken(env.DB, token.id)
  const same = equalInConstantTime(row?.sha256 ?? NO_HASH, sha256)
  // The hash is of the whole text, so that its scope and id are proved with its secret.
  if (row === null || !same || row.fleet !== FLEET) throw invalid()
  return callerOf(row)
}

/** The first operator token comes from the deployment, not from the database: someone must be able to make the rest. */
function isFirstOperator(env: Env, sha256: string): boolean {
  const kept = env.OPERATOR_TOKEN_SHA256?.trim().toLowerCase() ?? ''
  return /^[a-f0-9]{64}$/.test(kept) && equalInConstantTime(kept, sha256)
}

function callerOf(row: TokenWithNode): Caller {
  if (row.revoked_at !== null) {
    throw new LayercastError('TOKEN_REVOKED', `token ${row.id} was revoked`, { fix: 'Ask an operator for a new one.' })
  }
  if (row.expires_at !== null && row.expires_at <= Date.now()) {
    throw new LayercastError('TOKEN_EXPIRED', `token ${row.id} expired at ${new Date(row.expires_at).toISOString()}`, {
      fix: 'Ask an operator for a new one.',
    })
  }
  if (row.scope === 'operator') return { scope: 'operator' }
  if (row.scope === 'join') return { scope: 'join', tokenId: row.id }
  if (row.node_id === null || row.generation === null) throw invalid()
  const plans = JSON.parse(row.plans) as string[]
  return {
    scope: 'node',
    nodeId: row.node_id,
    generation: row.generation,
    seenAt: row.seen_at ?? 0,
    plans,
    known: row.known,
  }
}

function invalid(): LayercastError {
  return new LayercastError('TOKEN_INVALID', 'the token is not one of this fleet', {
    fix: 'Check that it was copied whole, and that it belongs to this server.',
  })
}
