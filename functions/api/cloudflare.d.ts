// The one host module that the API imports, typed without Workers' globals, which would collide with Node's.
declare module 'cloudflare:workers' {
  import type { CloudflareWorkersModule } from '@cloudflare/workers-types'
  export import DurableObject = CloudflareWorkersModule.DurableObject
  export const env: import('./env.ts').Env & { TEST_MIGRATIONS: unknown[] }
}
