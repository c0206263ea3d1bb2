/** The API as its tests meet it: the real app with real D1 and Durable Objects, inside workerd, fresh for every test. */
import { applyD1Migrations, createExecutionContext, reset, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { vi } from 'vitest'
import { createApp } from '../../functions/api/app.ts'
import type { Env } from '../../functions/api/env.ts'
import { sha256Hex } from '../../functions/api/hash.ts'
import { createClient } from '../../functions/contract/client.ts'
import type { Facts } from '../../functions/contract/nodes.ts'
import type { Problem } from '../../functions/contract/problem.ts'

// Two cores may have other work; a test that hangs is found all the same.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const ORIGIN = 'http://api.test'
export const OPERATOR = `lc_operator_test_${'A'.repeat(43)}`

export const FACTS: Facts = { os: 'linux', architecture: 'amd64', backend: 'embedded', snapshotters: ['overlayfs'] }

export interface Call {
  method?: string
  token?: string | undefined
  json?: unknown
  body?: BodyInit
  headers?: Record<string, string>
}

export type Api = Awaited<ReturnType<typeof startApi>>

/** An empty database, a fleet object that remembers nothing, and ways to call. */
export async function startApi(vars: Partial<Env> = {}) {
  await reset()
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
  const bindings = {
    DB: env.DB,
    FLEET_OBJECTS: env.FLEET_OBJECTS,
    OPERATOR_TOKEN_SHA256: await sha256Hex(OPERATOR),
    ...vars,
  }
  const app = createApp()

  const handle = async (request: Request): Promise<Response> => {
    const ctx = createExecutionContext()
    const response = await app.fetch(request, bindings, ctx)
    await waitOnExecutionContext(ctx)
    return response
  }
  const call = (path: string, { token, json, ...init }: Call = {}): Promise<Response> => {
    const headers = new Headers(init.headers)
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    if (json !== undefined) headers.set('content-type', 'application/json')
    const body = json === undefined ? init.body : JSON.stringify(json)
    return handle(new Request(ORIGIN + path, { ...init, headers, body: body ?? null }))
  }
  const client = (token?: string) =>
    createClient({
      server: ORIGIN,
      token,
      fetch: (input, init) => handle(new Request(input as string | URL, init as RequestInit)),
    })
  const operator = client(OPERATOR)
  return {
    call,
    client,
    operator,
    db: bindings.DB,
    /** Enrols a node, and gives its client too. */
    enrol: async (name: string, labels: Record<string, string> = {}, more: { enrolmentKey?: string } = {}) => {
      const join = await operator.createJoinToken({})
      const node = await client(join.token).enrol({ name, labels, facts: FACTS, ...more })
      return { ...node, client: client(node.token), joinToken: join }
    },
  }
}

/** The problem document of an answer, after looking that it is one. */
export async function problemOf(response: Response): Promise<Problem> {
  if (response.headers.get('content-type') !== 'application/problem+json') {
    throw new Error(`status ${response.status} is no problem document: ${await response.text()}`)
  }
  return (await response.json()) as Problem
}
