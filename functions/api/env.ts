import type { D1Database, DurableObjectNamespace } from '@cloudflare/workers-types'
import type { Caller } from './auth/caller.ts'
import type { Fleet } from './fleet/fleet.ts'

/** What the Worker is given (wrangler.toml; `layercast serve` gives the same). */
export interface Env {
  DB: D1Database
  FLEET: DurableObjectNamespace<Fleet>
  /** The names that it answers to, with spaces between; all if absent, as at the edge, where the platform routes by name. */
  HOSTS?: string
  /** "true" lets anyone plan. */
  OPEN_PLANNER?: string
  /** The first operator token: the sha256 of its text, in hex. */
  OPERATOR_TOKEN_SHA256?: string
}

/** One fleet for now; every row and the Durable Object carry its name, so that more can come. */
export const FLEET = 'default'

export interface AppEnv {
  Bindings: Env
  Variables: { caller: Caller }
}
