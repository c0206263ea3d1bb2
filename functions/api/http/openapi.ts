/** The OpenAPI document. */
import type { App } from './app-env.ts'

let document: ReturnType<App['getOpenAPI31Document']> | undefined

/** The document of the routes that are mounted, made at the first call and kept. */
export function openapiDocument(app: App) {
  if (document === undefined) {
    app.openAPIRegistry.registerComponent('securitySchemes', 'token', {
      type: 'http',
      scheme: 'bearer',
      description: 'An operator, join or node token: lc_<scope>_<id>_<secret>',
    })
    document = app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: {
        title: 'layercast',
        version: '1',
        description:
          'Plans what unpacks an image under any containerd snapshotter, and gives plans to a fleet of nodes.',
      },
    })
  }
  return document
}
