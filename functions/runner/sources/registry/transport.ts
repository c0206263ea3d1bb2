/** Requests as registries need them: redirects are followed with care, and busy servers are asked again. */
import { LayercastError } from '../../../errors.ts'
import { pause } from '../../../kit/pause.ts'
import { isLoopback } from './api-base.ts'
import { refused, unreachable } from './errors.ts'
import type { Exchange, RegistryRequest } from './http-client.ts'

/** Sends a request and gives its answer, whatever its status. REGISTRY_UNREACHABLE where there is none. */
export type Send = (url: URL, request?: RegistryRequest) => Promise<Response>

const MAX_REDIRECTS = 5
const TRIES = 4
const FIRST_PAUSE_MS = 500
const MAX_PAUSE_MS = 20_000
const ANSWER_MS = 60_000
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504])

/**
 * Redirects are followed here, so that the Authorization header never goes to another origin and HTTPS never becomes HTTP.
 * A server that is busy or broken is asked again after a pause.
 */
export function transport(exchange: Exchange, signal: AbortSignal): Send {
  return async (url, request = {}) => {
    for (let tries = 1; ; tries++) {
      let waitMs = FIRST_PAUSE_MS * 2 ** (tries - 1)
      try {
        const response = await follow(exchange, url, request, signal)
        if (tries >= TRIES || !RETRIED.has(response.status)) return response
        waitMs = pauseFor(response, waitMs)
        await response.body?.cancel()
      } catch (error) {
        signal.throwIfAborted()
        // Node throws a TypeError for a request that cannot be sent at all.
        if (error instanceof LayercastError || error instanceof TypeError) throw error
        if (tries >= TRIES || isFinal(error)) throw unreachable(url, error)
      }
      await pause(waitMs, signal)
      signal.throwIfAborted()
    }
  }
}

async function follow(
  exchange: Exchange,
  start: URL,
  request: RegistryRequest,
  signal: AbortSignal,
): Promise<Response> {
  let url = start
  const headers = new Headers(request.headers)
  headers.set('user-agent', 'layercast')
  for (let hops = 0; ; hops++) {
    const response = await exchangeInTime(exchange, url, { ...request, headers }, signal)
    const location = response.headers.get('location')
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response
    await response.body?.cancel()
    const next = URL.canParse(location, url) ? new URL(location, url) : undefined
    if (hops >= MAX_REDIRECTS || next === undefined || !mayFollow(url, next)) {
      throw await refused(`follow the redirection to ${JSON.stringify(location.slice(0, 200))}`, url, response)
    }
    if (next.origin !== url.origin) headers.delete('authorization')
    url = next
  }
}

function mayFollow(from: URL, to: URL): boolean {
  if (to.protocol === 'https:') return true
  return to.protocol === 'http:' && from.protocol === 'http:' && (isLoopback(to) || to.host === from.host)
}

/** The time limit is for the answer's headers only: how long its body takes depends on its size. */
async function exchangeInTime(
  exchange: Exchange,
  url: URL,
  request: RegistryRequest,
  signal: AbortSignal,
): Promise<Response> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException('no answer in time', 'TimeoutError')), ANSWER_MS)
  try {
    return await exchange(url, request, AbortSignal.any([signal, late.signal]))
  } finally {
    clearTimeout(timer)
  }
}

/** Whether trying again would fail in the same way: a host name that does not exist, a certificate that is not trusted. */
function isFinal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return /^(ENOTFOUND|ECONNREFUSED|EPROTO|HPE_|ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|UNABLE_TO|SELF_SIGNED)/.test(code ?? '')
}

/** Retry-After (RFC 9110, section 10.2.3: seconds or a date) in milliseconds, at most MAX_PAUSE_MS. */
function pauseFor(response: Response, fallback: number): number {
  const stated = response.headers.get('retry-after') ?? ''
  const after = /^\d+$/.test(stated.trim()) ? Number(stated) * 1000 : Date.parse(stated) - Date.now()
  return Math.min(MAX_PAUSE_MS, Number.isNaN(after) ? fallback : Math.max(0, after))
}
