/** The HTTP client of one registry host. */
import type { RegistryHost } from './hosts.ts'
import { createHttpClient, type Exchange, type HttpClient, type RegistryRequest } from './http-client.ts'

// How a TLS handshake fails with a server that does not speak TLS.
const NO_TLS = /^(EPROTO|ERR_SSL_.*|ECONNRESET|ECONNREFUSED)$/

/**
 * A client for a host, its redirections and its token servers. The headers and client certificates of hosts.toml are sent to
 * the host itself only. Its `skip_verify` also holds for redirections, but not where credentials are sent.
 */
export function createHostClient(host: RegistryHost): HttpClient {
  const { base, headers, tls = {}, dialMs } = host
  const { ca, insecure } = tls
  const own = createHttpClient(tls, dialMs)
  const elsewhere = createHttpClient({ ca, insecure }, dialMs)
  const withCredentials = createHttpClient({ ca }, dialMs)

  // As containerd: an http URL with TLS settings and a port is tried over HTTPS first, and then over HTTP.
  let secure = base.protocol === 'http:' && host.tls !== undefined && base.port !== ''
  const toOwn: Exchange = async (url, request, signal) => {
    const whole = { ...request, headers: withHeaders(request.headers, headers) }
    if (!secure || url.protocol === 'https:') return await own.exchange(url, whole, signal)
    const over = new URL(url)
    over.protocol = 'https:'
    try {
      return await own.exchange(over, whole, signal)
    } catch (error) {
      if (!NO_TLS.test((error as NodeJS.ErrnoException).code ?? '')) throw error
      secure = false
      return await own.exchange(url, whole, signal)
    }
  }
  return {
    exchange: (url, request, signal) => {
      const isOwn = url.host === base.host && (url.protocol === base.protocol || url.protocol === 'https:')
      if (isOwn) return toOwn(url, request, signal)
      return (hasCredentials(request) ? withCredentials : elsewhere).exchange(url, request, signal)
    },
    close: () => {
      for (const client of [own, elsewhere, withCredentials]) client.close()
    },
  }
}

/** The headers of the request win over those of hosts.toml. */
function withHeaders(given: HeadersInit | undefined, added: RegistryHost['headers']): Headers {
  const headers = new Headers(given)
  const own = new Set(headers.keys())
  for (const [name, value] of added) if (!own.has(name.toLowerCase())) headers.append(name, value)
  return headers
}

/** A body is a token request's form, which may have an identity token in it. */
function hasCredentials({ headers, body }: RegistryRequest): boolean {
  return body !== undefined || new Headers(headers).has('authorization')
}
