import type { RegistryHost } from './hosts.ts'
import { exchangeOver, type Ask, type Exchange } from './http-client.ts'

// How TLS fails with a server that does not speak it.
const NO_TLS = /^(EPROTO|ERR_SSL_.*|ECONNRESET|ECONNREFUSED)$/

/**
 * How a registry's host is spoken to, and where its redirections and token servers are. Its headers and its client
 * certificates are shown to itself only. That certificates are not looked at holds elsewhere too, but not where an
 * account is shown.
 */
export function lineTo(host: RegistryHost): { exchange: Exchange; close: () => void } {
  const { base, headers, trust = {}, dialMs } = host
  const { ca, insecure = false } = trust
  const authorities = ca === undefined ? {} : { ca }
  const own = exchangeOver(trust, dialMs)
  const elsewhere = exchangeOver({ ...authorities, insecure }, dialMs)
  const careful = exchangeOver(authorities, dialMs)

  // containerd: HTTP with settings for TLS is taken for HTTPS where that is spoken, unless the port says otherwise.
  let secure = base.protocol === 'http:' && host.trust !== undefined && base.port !== ''
  const toOwn: Exchange = async (url, ask, signal) => {
    const request = { ...ask, headers: withHeaders(ask.headers, headers) }
    if (!secure || url.protocol === 'https:') return await own.exchange(url, request, signal)
    const over = new URL(url)
    over.protocol = 'https:'
    try {
      return await own.exchange(over, request, signal)
    } catch (error) {
      if (!NO_TLS.test((error as NodeJS.ErrnoException).code ?? '')) throw error
      secure = false
      return await own.exchange(url, request, signal)
    }
  }
  return {
    exchange: (url, ask, signal) => {
      const itself = url.host === base.host && (url.protocol === base.protocol || url.protocol === 'https:')
      if (itself) return toOwn(url, ask, signal)
      return (showsAccount(ask) ? careful : elsewhere).exchange(url, ask, signal)
    },
    close: () => {
      for (const line of [own, elsewhere, careful]) line.close()
    },
  }
}

/** Those of the request go before those of the file. */
function withHeaders(given: HeadersInit | undefined, added: RegistryHost['headers']): Headers {
  const headers = new Headers(given)
  const own = new Set(headers.keys())
  for (const [name, value] of added) if (!own.has(name.toLowerCase())) headers.append(name, value)
  return headers
}

/** A token may be asked for by a form with an identity token in it. */
function showsAccount({ headers, body }: Ask): boolean {
  return body !== undefined || new Headers(headers).has('authorization')
}
