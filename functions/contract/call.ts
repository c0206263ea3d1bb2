/** One HTTP call of one route, typed by its definition: what the client's methods are made of. */
import type { z } from '@hono/zod-openapi'
import { LayercastError } from '../image/errors.ts'
import { readAtMost } from './body.ts'
import { fromProblem } from './problem.ts'
import type { Route } from './route.ts'

/** The most of an answer that is read: several of the largest plans. */
const ANSWER_LIMIT = 64 * 1024 * 1024

export interface Connection {
  /** The API's address, such as `http://127.0.0.1:8787`; a path before `/v1` may be part of it. */
  server: string
  /** An operator, join or node token. */
  token?: string | undefined
  fetch?: typeof fetch | undefined
  /** How long one call may take; 30 seconds if absent. */
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

type Part<R, Name extends string> = R extends { request: Record<Name, infer S extends z.ZodType> } ? z.input<S> : never

/** The JSON that a route takes. */
export type JsonOf<R> = R extends { request: { body: { content: { 'application/json': { schema: infer S } } } } }
  ? S extends z.ZodType
    ? z.input<S>
    : never
  : never

type AnswerSchema<R> = R extends { responses: infer All }
  ? {
      [Status in keyof All & (200 | 201)]: All[Status] extends {
        content: { 'application/json': { schema: infer S extends z.ZodType } }
      }
        ? S
        : never
    }[keyof All & (200 | 201)]
  : never

/** The JSON that a route answers. */
export type AnswerOf<R> = z.output<AnswerSchema<R>>

export interface Arguments<R> {
  params?: Part<R, 'params'>
  query?: Part<R, 'query'>
  json?: JsonOf<R>
  /** A body that is not JSON. */
  body?: FormData | Uint8Array
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  bytes: Uint8Array
}

/**
 * Calls a route and gives what was answered with a status below 400. A problem document is thrown as the error it
 * tells; no connection, a broken one or none in time is SERVER_UNREACHABLE; an aborted signal is ABORTED.
 */
export async function call<R extends Route>(to: Connection, route: R, args: Arguments<R> = {}): Promise<Answer> {
  const url = address(to.server, route.path, args.params, args.query)
  const headers = new Headers({ accept: 'application/json', ...args.headers })
  if (to.token !== undefined) headers.set('authorization', `Bearer ${to.token}`)
  if (args.json !== undefined) headers.set('content-type', 'application/json')
  const body = args.json === undefined ? args.body : JSON.stringify(args.json)
  const timeout = AbortSignal.timeout(to.timeoutMs ?? 30_000)
  const init: RequestInit = {
    method: route.method.toUpperCase(),
    headers,
    // A redirect would carry the body, and on the same host the token, somewhere that nobody named.
    redirect: 'manual',
    signal: to.signal === undefined ? timeout : AbortSignal.any([timeout, to.signal]),
    ...(body === undefined ? {} : { body: body as BodyInit }),
  }
  let answer: Answer
  try {
    const response = await (to.fetch ?? fetch)(url, init)
    const stream = response.body as ReadableStream<Uint8Array> | null
    const bytes = await readAtMost(stream, ANSWER_LIMIT)
    if (bytes === undefined) {
      await stream?.cancel('more than the limit')
      throw new LayercastError('SERVER_FAILED', `${url.origin} answered more than ${ANSWER_LIMIT} bytes`)
    }
    answer = { status: response.status, headers: response.headers, bytes }
  } catch (error) {
    throw failure(error, url, to.signal)
  }
  if (answer.status >= 400) throw fromProblem(tryJson(answer.bytes), answer.status, url.origin)
  if (answer.status >= 300 && answer.status !== 304) {
    throw new LayercastError('SERVER_FAILED', `${url.origin} answered a redirect, status ${answer.status}`, {
      fix: 'Name the address that it redirects to.',
      detail: { location: answer.headers.get('location') },
    })
  }
  return answer
}

/** Calls a route and reads the JSON it answers by the route's own schema. SERVER_FAILED if it does not fit. */
export async function ask<R extends Route>(to: Connection, route: R, args: Arguments<R> = {}): Promise<AnswerOf<R>> {
  const answer = await call(to, route, args)
  const content = route.responses[answer.status] as { content?: Record<string, { schema: z.ZodType }> } | undefined
  const read = content?.content?.['application/json']?.schema.safeParse(tryJson(answer.bytes))
  if (read?.success !== true) {
    throw new LayercastError(
      'SERVER_FAILED',
      `${to.server} answered ${route.method} ${route.path} with something else`,
      {
        cause: read?.error,
        fix: 'Check that the server and this client are of versions that go together.',
      },
    )
  }
  return read.data as AnswerOf<R>
}

function address(server: string, path: string, params: unknown, query: unknown): URL {
  const base = URL.parse(server.endsWith('/') ? server : `${server}/`)
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new LayercastError('USAGE', `${JSON.stringify(server)} is not an http or https address`, {
      fix: 'Write it with its scheme, as in http://127.0.0.1:8787.',
    })
  }
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String((params as Record<string, unknown>)[name])),
  )
  const url = new URL(`.${filled}`, base)
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // Not JSON: whoever reads it says what it should have been.
    return undefined
  }
}

function failure(error: unknown, url: URL, signal: AbortSignal | undefined): LayercastError {
  if (error instanceof LayercastError) return error
  if (signal?.aborted === true)
    return new LayercastError('ABORTED', `the call to ${url.origin} was aborted`, { cause: error })
  const why = error instanceof Error && error.name === 'TimeoutError' ? 'it did not answer in time' : reason(error)
  return new LayercastError('SERVER_UNREACHABLE', `cannot reach ${url.origin}: ${why}`, {
    cause: error,
    fix: 'Check the address, and that the server runs (layercast serve).',
  })
}

/** Node keeps the telling part (ECONNREFUSED ...) in the cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || error.message : error.message
}
