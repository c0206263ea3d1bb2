/** The service itself: its health, its OpenAPI document, the label profiles. */
import { ROUTES } from '../../contract/routes.ts'
import { PROFILES } from '../../plan/profiles.ts'
import type { App } from '../http/app-env.ts'
import { openapiDocument } from '../http/openapi.ts'

export function mountService(app: App): void {
  app.openapi(ROUTES.healthz, (c) => c.json({ ok: true } as const, 200))
  app.openapi(ROUTES.openapi, (c) => c.json(openapiDocument(app) as unknown as { openapi: string }, 200))
  app.openapi(ROUTES.listSnapshotters, (c) => c.json({ profiles: PROFILES }, 200))
}
