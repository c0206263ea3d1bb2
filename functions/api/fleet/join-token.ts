/** Join tokens as operators see them. */
import type { JoinToken } from '../store/tokens.ts'

/** A join token as the contract shows it. */
export function showJoinToken(token: JoinToken) {
  return {
    id: token.id,
    note: token.note ?? undefined,
    createdAt: new Date(token.createdAt).toISOString(),
    expiresAt: new Date(token.expiresAt).toISOString(),
    maxUses: token.maxUses ?? undefined,
    uses: token.uses,
    state: stateOf(token),
  }
}

function stateOf({ revokedAt, expiresAt, maxUses, uses }: JoinToken) {
  if (revokedAt !== null) return 'revoked' as const
  if (expiresAt <= Date.now()) return 'expired' as const
  if (maxUses !== null && uses >= maxUses) return 'used-up' as const
  return 'usable' as const
}
