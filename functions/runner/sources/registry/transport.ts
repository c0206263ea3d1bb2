import { LayercastError } from '../../../errors.ts'
import { pause } from '../../../kit/pause.ts'
import { isLoopback } from './api-base.ts'
import { refused, unreachable } from './errors.ts'
import type { Ask, Exchange } from './http-client.ts'

/** Sends one request and gives its answer, whatever its status; REGISTRY_UNREACHABLE when there is none. */
export type Send = (url: URL, ask?: Ask) => Promise<Response>

const MAX_REDIRECTS = 5
const TRIES = 4
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 20_000
const ANSWER_MS = 60_000
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504])

/**
 * HTTP as registries need it: redirects followed by hand, so that an authorization never goes to another origin and
 * HTTPS never becomes HTTP; busy and broken servers asked again after a pause.
 */
export function transport(exchange: Exchange, signal: AbortSignal): Send {
  return async (url, what = {}) => {
    for (let tries = 1; ; tries++) {
      let waitMs = FIRST_PAUSE_MS * 2 ** tries
      try {
        const response = await follow(exchange, url, what, signal)
        if (tries >= TRIES || !RETRIED.has(response.status)) return response
        waitMs = pauseFor(response, waitMs)
        await response.body?.cancel()
      } catch (error) {
        signal.throwIfAborted()
        // A TypeError is a request that cannot be sent at all.
        if (error instanceof LayercastError || error instanceof TypeError) throw error
        if (tries >= TRIES || isFinal(error)) throw unreachable(url, error)
      }
      await pause(waitMs, signal)
      signal.throwIfAborted()
    }
  }
}

async function follow(exchange: Exchange, start: URL, what: Ask, signal: AbortSignal): Promise<Response> {
  let url = start
  const headers = new Headers(what.headers)
  headers.set('user-agent', 'layercast')
  for (let hops = 0; ; hops++) {
    const response = await ask(exchange, url, { ...what, headers }, signal)
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

/** One request. The time limit is for the answer's head only: a body takes as long as it takes. */
async function ask(exchange: Exchange, url: URL, what: Ask, signal: AbortSignal): Promise<Response> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException('no answer in time', 'TimeoutError')), ANSWER_MS)
  try {
    return await exchange(url, what, AbortSignal.any([signal, late.signal]))
  } finally {
    clearTimeout(timer)
  }
}

/** Trouble that asking again does not mend: a name that is not there, a certificate that is not trusted. */
function isFinal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return /^(ENOTFOUND|ECONNREFUSED|EPROTO|HPE_|ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|UNABLE_TO|SELF_SIGNED)/.test(code ?? '')
}

/** Retry-After in seconds or as a date (RFC 9110, section 10.2.3), in milliseconds; never longer than anyone would wait. */
function pauseFor(response: Response, fallback: number): number {
  const stated = response.headers.get('retry-after') ?? ''
  const after = /^\d+$/.test(stated.trim()) ? Number(stated) * 1000 : Date.parse(stated) - Date.now()
  return Math.min(MAX_PAUSE_MS, Number.isNaN(after) ? fallback : Math.max(0, after))
}
