/** HTTP requests over Node's own client, with the answer's body as it is on the wire. */
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

/** A request to a registry or a token server. */
export interface RegistryRequest {
  method?: 'GET' | 'HEAD' | 'POST'
  headers?: HeadersInit
  body?: URLSearchParams
}

/** Sends a request and gives its answer. Rejects with the system's own error (`code`) where none comes. */
export type Exchange = (url: URL, request: RegistryRequest, signal: AbortSignal) => Promise<Response>

export interface HttpClient {
  exchange: Exchange
  /** Closes its connections. */
  close(): void
}

/** What is left out is Node's default. */
export interface TlsSettings {
  /** The certificates of authorities in PEM, all that are trusted. */
  ca?: readonly string[] | undefined
  /** Client certificates and their keys in PEM. */
  pairs?: readonly { cert: string; key: string }[] | undefined
  /** Whether any certificate of the server is accepted. */
  insecure?: boolean | undefined
}

const DIAL_MS = 30_000
// Answers that have no body: a Response throws where it is given one.
const BODILESS = new Set([204, 205, 304])

/**
 * An HTTP client that never decodes a body. `fetch` inflates what has `Content-Encoding: x-gzip`, although the digest may be
 * of the compressed bytes.
 * @param dialMs how long connecting may take, in milliseconds
 */
export function createHttpClient(tls: TlsSettings = {}, dialMs = DIAL_MS): HttpClient {
  // Node's own switch for proxies, which fetch honours too.
  const env = process.env['NODE_USE_ENV_PROXY'] === '1' ? { proxyEnv: process.env } : {}
  const plain = new HttpAgent({ keepAlive: true, ...env })
  const secure = new HttpsAgent({ keepAlive: true, ...env, ...tlsOptions(tls) })
  return {
    exchange: (url, { method = 'GET', headers: given, body: form }, signal) =>
      new Promise((resolve, reject) => {
        const https = url.protocol === 'https:'
        const headers = new Headers(given)
        headers.set('accept-encoding', 'identity')
        const body = form?.toString()
        if (body !== undefined) headers.set('content-type', 'application/x-www-form-urlencoded')
        const request = (https ? requestHttps : requestHttp)(url, {
          method,
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
            resolve(responseOf(answer, method))
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

function tlsOptions({ ca, pairs = [], insecure }: TlsSettings): Record<string, unknown> {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(pairs.length === 0 ? {} : { cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) }),
    ...(insecure === true ? { rejectUnauthorized: false } : {}),
  }
}

function timeout(what: string): Error {
  return Object.assign(new Error(what), { code: 'ETIMEDOUT' })
}

function responseOf(answer: IncomingMessage, method: RegistryRequest['method']): Response {
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
