import type { MiddlewareHandler } from 'hono'
import { LayercastError } from '../../errors.ts'
import type { AppEnv } from '../env.ts'

/**
 * Answers only to the names that the deployment gives in HOSTS, where it gives any: a name of an attacker's that leads
 * here (DNS rebinding) is none of them. And only to pages of those names, or of the very host that is asked, where a
 * browser says which page it asks for. HOST_REFUSED and ORIGIN_REFUSED.
 */
export const allowedHost: MiddlewareHandler<AppEnv> = async (c, next) => {
  const allowed = c.env.HOSTS?.split(' ').filter((name) => name !== '')
  // A Host that is no host, or two of them, leaves the URL unreadable.
  const url = URL.parse(c.req.url)
  const header = c.req.header('host') ?? url?.host ?? ''
  const names = [url?.hostname, hostnameOf(header)]
  const known = names.every((name) => name !== undefined && (allowed === undefined || isAllowed(allowed, name)))
  if (url === null || !known) {
    throw new LayercastError('HOST_REFUSED', `this server does not answer to the name ${JSON.stringify(header)}`, {
      fix: 'Ask for it by its address, or start it with --allow-host and that name.',
    })
  }
  const origin = c.req.header('origin')
  if (origin !== undefined && !isOwnOrigin(origin, url.host, allowed)) {
    throw new LayercastError('ORIGIN_REFUSED', `a page of ${JSON.stringify(origin)} may not call this`, {
      fix: 'Call it from a program.',
    })
  }
  await next()
}

function isOwnOrigin(origin: string, host: string, allowed: readonly string[] | undefined): boolean {
  const url = URL.parse(origin)
  // "null" is what sandboxed pages and files say: anybody's.
  if (url === null || url.origin !== origin) return false
  return url.host === host || (allowed?.includes(url.hostname) === true && !isLoopback(url.hostname))
}

/** Other programs of this machine serve pages by these names, on ports of their own. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

/** `any-address` stands for every address, but no name: an address cannot be rebound. */
function isAllowed(allowed: readonly string[], hostname: string): boolean {
  const isAddress = /^\d{1,3}(?:\.\d{1,3}){3}$/.test(hostname) || hostname.startsWith('[')
  return allowed.includes(hostname) || (isAddress && allowed.includes('any-address'))
}

/** The name of a Host header: a host and perhaps a port, and nothing else that a URL may have there. */
function hostnameOf(header: string): string | undefined {
  return /^[^@/?#\\,\s]+$/.test(header) ? URL.parse(`http://${header}`)?.hostname : undefined
}
