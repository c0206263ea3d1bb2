/** Which callers a route lets in. */
import type { Access } from '../../contract/route.ts'
import { LayercastError } from '../../errors.ts'
import { isPlannerOpen } from '../env.ts'
import type { Env } from '../env.ts'
import type { Store } from '../store/store.ts'
import { authenticate } from './authenticate.ts'
import type { Caller } from './caller.ts'

/**
 * The caller, if a route's access lets it in. Errors: those of `authenticate`, and TOKEN_SCOPE for a valid token of a scope
 * that the route does not take.
 */
export async function authorize(
  env: Pick<Env, 'OPEN_PLANNER' | 'OPERATOR_TOKEN_SHA256'>,
  store: Store,
  access: Access,
  header: string | undefined,
): Promise<Caller> {
  if (access === 'public' || (access === 'planner' && isPlannerOpen(env))) return { scope: 'anyone' }
  const caller = await authenticate(env, store, header)
  const allowed = access === 'planner' ? ['operator', 'node'] : [access]
  if (!allowed.includes(caller.scope)) {
    throw new LayercastError('TOKEN_SCOPE', `a token of scope ${caller.scope} does not do for this call`, {
      fix: `Use a token of scope ${allowed.join(' or ')}.`,
      detail: { scope: caller.scope, needed: allowed },
    })
  }
  return caller
}
