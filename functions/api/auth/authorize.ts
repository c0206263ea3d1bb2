import type { Access } from '../../contract/route.ts'
import { LayercastError } from '../../errors.ts'
import type { Env } from '../env.ts'
import { authenticate } from './authenticate.ts'
import type { Caller } from './caller.ts'

/**
 * The caller, if a route's access lets them in. Errors: those of authenticate, and TOKEN_SCOPE where the token is good
 * but not for this.
 */
export async function authorize(env: Env, access: Access, header: string | undefined): Promise<Caller> {
  if (access === 'public' || (access === 'planner' && env.OPEN_PLANNER === 'true')) return { scope: 'anyone' }
  const caller = await authenticate(env, header)
  const allowed = access === 'planner' ? ['operator', 'node'] : [access]
  if (!allowed.includes(caller.scope)) {
    throw new LayercastError('TOKEN_SCOPE', `a token of scope ${caller.scope} does not do for this call`, {
      fix: `Use a token of scope ${allowed.join(' or ')}.`,
      detail: { scope: caller.scope, needed: allowed },
    })
  }
  return caller
}
