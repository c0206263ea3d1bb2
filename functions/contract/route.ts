/** How a route is defined, and what it says besides OpenAPI's own words. */
import { createRoute } from '@hono/zod-openapi'
import type { RouteConfig } from '@hono/zod-openapi'
import { problem, PROBLEM_TYPE } from './problem.ts'

/** What a token is good for. */
export type TokenScope = 'operator' | 'join' | 'node'

/**
 * Who may call a route. `public`: anyone. `planner`: anyone where the planner is open, elsewhere an operator or a node. A
 * scope: the holder of a token of that scope.
 */
export type Access = 'public' | 'planner' | TokenScope

/** What a route states besides OpenAPI's fields. The OpenAPI document has both as extensions. */
export interface RouteTraits {
  'x-access': Access
  /** How many bytes of a request body are read at most. Absent on routes that take no body. */
  'x-body-limit'?: number
}

export type Route = RouteConfig & RouteTraits

const failure = { description: 'A problem, RFC 9457', content: { [PROBLEM_TYPE]: { schema: problem } } } as const

const SECURITY: Record<Access, Array<Record<string, string[]>>> = {
  public: [{}],
  planner: [{}, { token: [] }],
  operator: [{ token: [] }],
  join: [{ token: [] }],
  node: [{ token: [] }],
}

/**
 * A route as data: method, path, request, responses, and who may call it. The API mounts it, the OpenAPI document lists it,
 * and the client calls it. The responses get those of problems, which any route may answer.
 */
export function defineRoute<P extends string, R extends Omit<RouteConfig, 'path'> & RouteTraits & { path: P }>(
  route: R,
) {
  return createRoute({
    ...route,
    security: SECURITY[route['x-access']],
    responses: { ...route.responses, '4XX': failure, '5XX': failure } as R['responses'],
  })
}
