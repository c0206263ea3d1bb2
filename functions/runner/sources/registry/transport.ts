import { setTimeout as sleep } from 'node:timers/promises'
import { refused, unreachable } from './errors.ts'
import { isLoopback } from './host.ts'

/** Sends one request and gives its answer, whatever its status; REGISTRY_UNREACHABLE when there is none. */
export type Send = (url: URL, init?: RequestInit) => Promise<Response>

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
export function transport(signal: AbortSignal): Send {
  return async (url, init = {}) => {
    for (let tries = 1; ; tries++) {
      let pause = FIRST_PAUSE_MS * 2 ** tries
      try {
        const response = await follow(url, init, signal)
        if (tries >= TRIES || !RETRIED.has(response.status)) return response
        pause = pauseFor(response, pause)
        await response.body?.cancel()
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof TypeError || isTimeout(error))) throw error
        if (tries >= TRIES || isFinal(error)) throw unreachable(url, error)
      }
      await sleep(pause, undefined, { signal })
    }
  }
}

async function follow(start: URL, init: RequestInit, signal: AbortSignal): Promise<Response> {
  let url = start
  const headers = new Headers(init.headers)
  headers.set('user-agent', 'layercast')
  for (let hops = 0; ; hops++) {
    const response = await ask(url, { ...init, headers, redirect: 'manual' }, signal)
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
  return to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:' && isLoopback(to))
}

/** One request. The time limit is for the answer's head only: a body takes as long as it takes. */
async function ask(url: URL, init: RequestInit, signal: AbortSignal): Promise<Response> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException('no answer in time', 'TimeoutError')), ANSWER_MS)
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any([signal, late.signal]) })
  } finally {
    clearTimeout(timer)
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}

/** Trouble that asking again does not mend: a name that is not there, a certificate that is not trusted. */
function isFinal(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  return /^(ENOTFOUND|ECONNREFUSED|ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|UNABLE_TO|SELF_SIGNED)/.test(cause?.code ?? '')
}

function pauseFor(response: Response, fallback: number): number {
  const after = Number(response.headers.get('retry-after') ?? Number.NaN)
  return Math.min(MAX_PAUSE_MS, Number.isFinite(after) && after >= 0 ? after * 1000 : fallback)
}
