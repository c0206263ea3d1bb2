/** What runs before every handler, by what the route's definition says: who may call it, and how much of a body is read. */
import type { MiddlewareHandler } from 'hono'
import type { Route } from '../../contract/route.ts'
import { LayercastError } from '../../errors.ts'
import { authorize } from '../auth/authorize.ts'
import { isPlannerOpen } from '../env.ts'
import type { Env } from '../env.ts'
import { decisionsOf, DEFAULT_FLEET } from '../fleet/decisions.ts'
import { noteSeen } from '../fleet/note-seen.ts'
import { createStore } from '../store/store.ts'
import type { AppEnv } from './app-env.ts'
import { limitBody } from './body-limit.ts'
import { refuseCrossSite } from './cross-site.ts'
import { checkBody } from './json-body.ts'

export function guard(route: Route): MiddlewareHandler<AppEnv & { Bindings: Env }> {
  return async (c, next) => {
    // The one place where a request gets its fleet. The token is looked up in that fleet too, so the caller is of it.
    const store = createStore(c.env.DB, DEFAULT_FLEET)
    const caller = await authorize(c.env, store, route['x-access'], c.req.header('authorization'))
    if (caller.scope === 'anyone') refuseCrossSite(c)
    if (caller.scope === 'node') c.executionCtx.waitUntil(noteSeen(store, caller.nodeId, caller.seenAt))
    c.set('caller', caller)
    c.set('store', store)
    c.set('decisions', decisionsOf(c.env.FLEET_OBJECTS, DEFAULT_FLEET))
    c.set('isPlannerOpen', isPlannerOpen(c.env))
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
