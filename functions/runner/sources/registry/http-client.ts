import { Agent as PlainAgent, request as askPlainly, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as askSecurely } from 'node:https'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

/** One request, as registries and token servers take it. */
export interface Ask {
  method?: 'GET' | 'HEAD' | 'POST'
  headers?: HeadersInit
  body?: URLSearchParams
}

/** Sends one request over a line of its kind and gives the answer's head; the body comes as it lies on the wire. */
export type Exchange = (url: URL, ask: Ask, signal: AbortSignal) => Promise<Response>

/** How TLS is spoken. What is left out is Node's default. */
export interface Trust {
  /** Authorities in PEM, all of them. */
  ca?: readonly string[]
  /** Client certificates and their keys in PEM. */
  pairs?: readonly { cert: string; key: string }[]
  /** The server's certificate is not looked at. */
  insecure?: boolean
}

const DIAL_MS = 30_000
// Answers without a body, which a Response must not have then.
const BODILESS = new Set([204, 205, 304])

/**
 * An HTTP client without any content coding: fetch inflates what says `x-gzip`, also where those are the very bytes that
 * the digest is of. Rejects with the system's own error (`code`) where no answer comes.
 * @param dialMs how long connecting may take
 */
export function exchangeOver(trust: Trust = {}, dialMs = DIAL_MS): { exchange: Exchange; close: () => void } {
  // Node's own switch: fetch honours it, and so does this.
  const env = process.env['NODE_USE_ENV_PROXY'] === '1' ? { proxyEnv: process.env } : {}
  const plain = new PlainAgent({ keepAlive: true, ...env })
  const secure = new SecureAgent({ keepAlive: true, ...env, ...tlsOptions(trust) })
  return {
    exchange: (url, ask, signal) =>
      new Promise((resolve, reject) => {
        const https = url.protocol === 'https:'
        const headers = new Headers(ask.headers)
        headers.set('accept-encoding', 'identity')
        const body = ask.body?.toString()
        if (body !== undefined) headers.set('content-type', 'application/x-www-form-urlencoded')
        const request = (https ? askSecurely : askPlainly)(url, {
          method: ask.method ?? 'GET',
          headers: Object.fromEntries(headers),
          agent: https ? secure : plain,
          signal,
        })
        request.once('socket', (socket) => {
          if (!socket.connecting) return
          const late = setTimeout(() => request.destroy(timeout('no connection in time')), dialMs)
          socket.once(https ? 'secureConnect' : 'connect', () => clearTimeout(late))
          socket.once('close', () => clearTimeout(late))
        })
        request.once('error', reject)
        request.once('response', (answer) => {
          try {
            resolve(responseOf(answer, ask.method))
          } catch (error) {
            answer.destroy()
            reject(error)
          }
        })
        request.end(body)
      }),
    close: () => {
      plain.destroy()
      secure.destroy()
    },
  }
}

function tlsOptions({ ca, pairs = [], insecure }: Trust): Record<string, unknown> {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(pairs.length === 0 ? {} : { cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) }),
    ...(insecure === true ? { rejectUnauthorized: false } : {}),
  }
}

function timeout(what: string): Error {
  return Object.assign(new Error(what), { code: 'ETIMEDOUT' })
}

function responseOf(answer: IncomingMessage, method: Ask['method']): Response {
  const status = answer.statusCode ?? 0
  const headers = new Headers()
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
    headers.append(answer.rawHeaders[at] ?? '', answer.rawHeaders[at + 1] ?? '')
  }
  if (status < 200 || status > 599) throw Object.assign(new Error(`answers ${status}`), { code: 'EPROTO' })
  if (method !== 'HEAD' && !BODILESS.has(status)) {
    return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array> as never, { status, headers })
  }
  answer.resume()
  return new Response(null, { status, headers })
}
