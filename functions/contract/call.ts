/** One HTTP call of one route, typed by the route's definition. The methods of the client are made of these calls. */
import type { z } from '@hono/zod-openapi'
import { LayercastError } from '../errors.ts'
import { readAtMost } from './body.ts'
import { fromProblem, PROBLEM_TYPE } from './problem.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Route } from './route.ts'

/** How many bytes of an answer are read at most: several of the largest plans. */
const ANSWER_LIMIT = 64 * 1024 * 1024

export interface ServerAccess {
  /** The API's address, such as `http://127.0.0.1:8787`; a path before `/v1` may be part of it. */
  server: string
  /** An operator, join or node token. */
  token?: string | undefined
  fetch?: typeof fetch | undefined
  /** How long one call may take; 30 seconds if absent. */
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
  /** Gets the headers of every answer that the called route defines; not those of problems. */
  onAnswer?: ((headers: Headers) => void) | undefined
}

type Part<R, Name extends string> = R extends { request: Record<Name, infer S extends z.ZodType> } ? z.input<S> : never

/** The JSON body that a route takes. */
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

/** The JSON body that a route answers. */
export type AnswerOf<R> = z.output<AnswerSchema<R>>

export interface Arguments<R> {
  params?: Part<R, 'params'> | undefined
  query?: Part<R, 'query'> | undefined
  json?: JsonOf<R> | undefined
  /** A body that is not JSON. */
  body?: FormData | Uint8Array | undefined
  headers?: Record<string, string> | undefined
}

export interface Answer {
  status: number
  headers: Headers
  bytes: Uint8Array
}

/**
 * Calls a route and gives its answer, if the answer's status is one that the route defines. Errors: the one that a problem
 * document states; SERVER_FAILED for any other answer, with `retryAfterMs` among the details where the answer has Retry-After;
 * SERVER_UNREACHABLE without a connection, for one that breaks, and past the time limit; ABORTED by the signal.
 */
export async function call<R extends Route>(to: ServerAccess, route: R, args: Arguments<R> = {}): Promise<Answer> {
  const url = address(to.server, route.path, args.params, args.query)
  const headers = new Headers({ accept: 'application/json', ...args.headers })
  if (to.token !== undefined) headers.set('authorization', `Bearer ${to.token}`)
  if (args.json !== undefined) headers.set('content-type', 'application/json')
  const body = args.json === undefined ? args.body : JSON.stringify(args.json)
  const timeout = AbortSignal.timeout(to.timeoutMs ?? 30_000)
  const init: RequestInit = {
    method: route.method.toUpperCase(),
    headers,
    // Following a redirect would send the body, and within one host the token too, to an address that the user did not name.
    redirect: 'manual',
    signal: to.signal === undefined ? timeout : AbortSignal.any([timeout, to.signal]),
    body: (body ?? null) as BodyInit | null,
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
  checkStatus(answer, route, url, headers.has('if-none-match'))
  to.onAnswer?.(answer.headers)
  return answer
}

/** Throws the error of an answer whose status the route does not define. */
function checkStatus({ status, headers, bytes }: Answer, route: Route, url: URL, conditional: boolean): void {
  const after = retryAfterMs(headers)
  const more = after === undefined ? {} : { retryAfterMs: after }
  // A body of another type is not the API's, whatever it looks like: a proxy answered.
  if (status >= 400) throw fromProblem(isProblem(headers) ? tryJson(bytes) : undefined, status, url.origin, more)
  if (status >= 300 && status !== 304) {
    throw new LayercastError('SERVER_FAILED', `${url.origin} answered a redirect, status ${status}`, {
      fix: 'Name the address that it redirects to.',
      detail: { location: headers.get('location'), ...more },
    })
  }
  if (Object.hasOwn(route.responses, status) && (status !== 304 || conditional)) return
  throw new LayercastError(
    'SERVER_FAILED',
    `${url.origin} answered ${route.method} ${route.path} with status ${status}`,
    {
      fix: 'Check that the address is that of a layercast API, and that no proxy before it answers in its place.',
      detail: { status, ...more },
    },
  )
}

function isProblem(headers: Headers): boolean {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() === PROBLEM_TYPE
}

/** Calls a route and gives the JSON of its answer. Errors: those of `call` and `readAnswer`. */
export async function ask<R extends Route>(to: ServerAccess, route: R, args: Arguments<R> = {}): Promise<AnswerOf<R>> {
  return readAnswer(to, route, await call(to, route, args))
}

/** The JSON of an answer, checked by the route's schema. SERVER_FAILED if it does not fit. */
export function readAnswer<R extends Route>(to: ServerAccess, route: R, answer: Answer): AnswerOf<R> {
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

/** A server's address as a URL that paths are resolved against. USAGE if it is no http or https address. */
export function baseOf(server: string): URL {
  const base = URL.parse(server.endsWith('/') ? server : `${server}/`)
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new LayercastError('USAGE', `${JSON.stringify(server)} is not an http or https address`, {
      fix: 'Write it with its scheme, as in http://127.0.0.1:8787.',
    })
  }
  return base
}

function address(server: string, path: string, params: unknown, query: unknown): URL {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String((params as Record<string, unknown>)[name])),
  )
  const url = new URL(`.${filled}`, baseOf(server))
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // Not JSON: undefined fits no schema, and the caller's check says what was expected.
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

/** Node's fetch keeps the part that tells why (ECONNREFUSED ...) in the error's cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || error.message : error.message
}
