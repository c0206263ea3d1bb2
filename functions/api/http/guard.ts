import type { MiddlewareHandler } from 'hono'
import type { Route } from '../../contract/route.ts'
import { LayercastError } from '../../errors.ts'
import { authorize } from '../auth/authorize.ts'
import type { AppEnv } from '../env.ts'
import { noteSeen } from '../store/nodes.ts'
import { limitBody } from './body-limit.ts'
import { refuseCrossSite } from './cross-site.ts'
import { checkBody } from './json-body.ts'

/** What comes before every route, by what its definition says: who calls, and how much of a body is read. */
export function guard(route: Route): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const caller = await authorize(c.env, route['x-access'], c.req.header('authorization'))
    if (caller.scope === 'anyone') refuseCrossSite(c)
    if (caller.scope === 'node') c.executionCtx.waitUntil(noteSeen(c.env.DB, caller))
    c.set('caller', caller)
    if (route.request?.query === undefined && Object.keys(c.req.query()).length > 0) {
      throw new LayercastError('REQUEST_INVALID', 'this call takes no query parameters', {
        fix: 'See /openapi.json for what this call takes.',
      })
    }
    const limit = route['x-body-limit']
    if (limit !== undefined) checkBody(c, route, await limitBody(c, limit))
    await next()
  }
}
