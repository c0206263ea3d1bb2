/** From an Authorization header to a caller (RFC 6750, section 2.1). */
import { LayercastError } from '../../errors.ts'
import type { Env } from '../env.ts'
import { equalInConstantTime, sha256Hex } from '../hash.ts'
import type { Store } from '../store/store.ts'
import type { StoredToken } from '../store/tokens.ts'
import type { Caller } from './caller.ts'
import { readToken } from './token.ts'

/** Stands for the hash of a token that is not stored, so that an unknown id takes as long as a wrong secret. */
const NO_HASH = '0'.repeat(64)

/**
 * The caller that a token proves. Errors: TOKEN_MISSING without a token; TOKEN_INVALID for one that this fleet did not make;
 * TOKEN_EXPIRED and TOKEN_REVOKED, which only the holder of the token's secret is told.
 */
export async function authenticate(
  env: Pick<Env, 'OPERATOR_TOKEN_SHA256'>,
  store: Store,
  header: string | undefined,
): Promise<Caller> {
  if (header === undefined) {
    throw new LayercastError('TOKEN_MISSING', 'this call needs a token', {
      fix: 'Send one as Authorization: Bearer lc_...',
    })
  }
  const text = /^Bearer +(\S+)$/i.exec(header)?.[1] ?? ''
  const token = readToken(text)
  if (token === undefined) throw invalid()
  const sha256 = await sha256Hex(text)
  if (token.scope === 'operator' && isFirstOperator(env.OPERATOR_TOKEN_SHA256, sha256)) return { scope: 'operator' }
  const stored = await store.tokens.find(token.id)
  // The hash covers the whole text, so that an equal hash proves the scope and the id in it too, not the secret alone.
  const isEqual = equalInConstantTime(stored?.sha256 ?? NO_HASH, sha256)
  if (stored === undefined || !isEqual) throw invalid()
  return callerOf(stored)
}

/** The first operator token comes with the deployment, because every other token is made by an operator. */
function isFirstOperator(configured: string | undefined, sha256: string): boolean {
  const hash = configured?.trim().toLowerCase() ?? ''
  return /^[a-f0-9]{64}$/.test(hash) && equalInConstantTime(hash, sha256)
}

function callerOf(token: StoredToken): Caller {
  if (token.revokedAt !== null) {
    throw new LayercastError('TOKEN_REVOKED', `token ${token.id} was revoked`, {
      fix: 'Ask an operator for a new one.',
    })
  }
  if (token.expiresAt !== null && token.expiresAt <= Date.now()) {
    const at = new Date(token.expiresAt).toISOString()
    throw new LayercastError('TOKEN_EXPIRED', `token ${token.id} expired at ${at}`, {
      fix: 'Ask an operator for a new one.',
    })
  }
  if (token.scope === 'operator') return { scope: 'operator' }
  if (token.scope === 'join') return { scope: 'join', tokenId: token.id }
  const { nodeId, generation, seenAt, known } = token
  if (nodeId === null || generation === null) throw invalid()
  return { scope: 'node', nodeId, generation, seenAt: seenAt ?? 0, plans: JSON.parse(token.plans) as string[], known }
}

function invalid(): LayercastError {
  return new LayercastError('TOKEN_INVALID', 'the token is not one of this fleet', {
    fix: 'Check that it was copied whole, and that it belongs to this server.',
  })
}
