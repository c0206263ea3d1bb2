import type { Context } from 'hono'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { App } from '../app.ts'

/** Answers every other method of the paths that there are: METHOD_NOT_ALLOWED, with those that it takes in Allow. */
export function refuseOtherMethods(app: App): void {
  const byPath = new Map<string, string[]>()
  for (const route of Object.values(ROUTES)) {
    const path = route.getRoutingPath()
    const own = route.method === 'get' ? ['GET', 'HEAD'] : [route.method.toUpperCase()]
    byPath.set(path, [...(byPath.get(path) ?? []), ...own])
  }
  for (const [path, methods] of byPath) {
    app.all(path, (c: Context) => {
      throw new LayercastError('METHOD_NOT_ALLOWED', `${c.req.path} takes no ${c.req.method}`, {
        fix: `It takes ${methods.join(', ')}.`,
        detail: { allow: methods },
      })
    })
  }
}
