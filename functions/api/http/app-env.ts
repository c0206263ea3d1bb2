/** What a handler finds on its request's context. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Caller } from '../auth/caller.ts'
import type { Decisions } from '../fleet/decisions.ts'
import type { Store } from '../store/store.ts'

/** Handlers see no bindings: only what the guard made of them, for the caller's fleet. */
export interface AppEnv {
  Bindings: Record<never, never>
  Variables: {
    caller: Caller
    /** The only way to the database, bound to the caller's fleet. */
    store: Store
    /** The only way to the Durable Object, bound to the caller's fleet. */
    decisions: Decisions
    isPlannerOpen: boolean
  }
}

export type App = OpenAPIHono<AppEnv>
