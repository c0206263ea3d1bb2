/** The HTTP app: every route of the contract, behind one guard and one error handler. */
import { OpenAPIHono } from '@hono/zod-openapi'
import { ROUTES } from '../contract/routes.ts'
import { LayercastError } from '../errors.ts'
import { allowedHost } from './http/allowed-host.ts'
import type { App, AppEnv } from './http/app-env.ts'
import { drainRefused } from './http/drain.ts'
import { guard } from './http/guard.ts'
import { noStore, securityHeaders } from './http/headers.ts'
import { refuseOtherMethods } from './http/methods.ts'
import { answerProblem, refusal } from './http/problems.ts'
import { mountAssignments } from './routes/assignments.ts'
import { mountImages } from './routes/images.ts'
import { mountJoinTokens } from './routes/join-tokens.ts'
import { mountNodes } from './routes/nodes.ts'
import { mountOwnNode } from './routes/own-node.ts'
import { mountPlans } from './routes/plans.ts'
import { mountService } from './routes/service.ts'

export function createApp(): App {
  const app: App = new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw refusal(result.target, result.error)
    },
  })
  app.use(securityHeaders)
  app.use(noStore)
  app.use(drainRefused)
  app.use(allowedHost)
  app.use(refuseOtherMethods(app))
  // The contract lists the routes, and the guards come before any handler, so that no route can be mounted without one.
  for (const route of Object.values(ROUTES)) app.on(route.method, route.getRoutingPath(), guard(route))
  for (const mount of [
    mountService,
    mountPlans,
    mountImages,
    mountJoinTokens,
    mountNodes,
    mountAssignments,
    mountOwnNode,
  ]) {
    mount(app)
  }
  app.onError((error, c) => answerProblem(c, error))
  app.notFound((c) =>
    answerProblem(
      c,
      new LayercastError('NOT_FOUND', `there is no ${c.req.method} ${c.req.path}`, {
        fix: 'See /openapi.json for the calls that there are.',
      }),
    ),
  )
  return app
}
