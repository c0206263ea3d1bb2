/** Requests for a path that there is, by a method that it does not have. */
import type { MiddlewareHandler } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { LayercastError } from '../../errors.ts'
import type { App } from './app-env.ts'
import { answerProblem } from './problems.ts'

/** Answers METHOD_NOT_ALLOWED, with the methods of the path in Allow. */
export function refuseOtherMethods(app: App): MiddlewareHandler {
  return methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) =>
      answerProblem(
        c,
        new LayercastError('METHOD_NOT_ALLOWED', `${c.req.path} takes no ${c.req.method}`, {
          fix: `It takes ${methods.join(', ')}.`,
          detail: { allow: methods },
        }),
      ),
  })
}
