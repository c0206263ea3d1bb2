// What the API's tests use of the host, typed without Workers' globals, which would collide with Node's.
declare module 'cloudflare:test' {
  import type { D1Database, DurableObjectState } from '@cloudflare/workers-types'
  export function applyD1Migrations(db: D1Database, migrations: unknown[]): Promise<void>
  export function reset(): Promise<void>
  export function createExecutionContext(): import('hono').ExecutionContext
  export function waitOnExecutionContext(ctx: import('hono').ExecutionContext): Promise<void>
  export function evictAllDurableObjects(): Promise<void>
  export function runInDurableObject<R>(
    // Not typed: the types of a stub of a class with many methods are deeper than the compiler goes.
    stub: unknown,
    callback: (instance: unknown, state: DurableObjectState) => R | Promise<R>,
  ): Promise<R>
}
