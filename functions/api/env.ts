/** The Worker's bindings, as wrangler.toml and functions/serve/worker/serve.capnp declare them. */
import type { DurableObjectNamespace } from '@cloudflare/workers-types'
import type { Fleet } from './fleet/fleet.ts'
import type { Database } from './store/fleet-database.ts'

export interface Env {
  DB: Database
  /**
   * The Durable Objects of the fleets, one for each fleet's name. The class keeps its deployed name, `Fleet`: Cloudflare
   * and workerd find an object's data by the class. A binding's name holds no data, so it may change.
   */
  FLEET_OBJECTS: DurableObjectNamespace<Fleet>
  /** The host names that the Worker answers to, separated by spaces. Absent at the edge, where Cloudflare routes by name. */
  HOSTS?: string
  /** "true" opens the planner: the routes of access `planner` then need no token. */
  OPEN_PLANNER?: string
  /** The first operator token, as the sha256 of its text in hex. */
  OPERATOR_TOKEN_SHA256?: string
}

export function isPlannerOpen(env: Pick<Env, 'OPEN_PLANNER'>): boolean {
  return env.OPEN_PLANNER === 'true'
}
