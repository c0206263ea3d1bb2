/** By which host names the API may be called, and by pages of which origins. */
import type { MiddlewareHandler } from 'hono'
import { LayercastError } from '../../errors.ts'
import type { Env } from '../env.ts'

/**
 * HOST_REFUSED: the request is for a host name that HOSTS, where it is set, does not list. So an attacker cannot make his own
 * name lead here (DNS rebinding). ORIGIN_REFUSED: a browser says that the page which calls is neither of the host that it
 * calls nor of a listed one.
 */
export const allowedHost: MiddlewareHandler<{ Bindings: Pick<Env, 'HOSTS'> }> = async (c, next) => {
  const allowed = c.env.HOSTS?.split(' ').filter((name) => name !== '')
  // The URL cannot be parsed where the Host header is no host, or is two of them.
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
  // Sandboxed pages and files state the origin "null": it could be anybody's.
  if (url === null || url.origin !== origin) return false
  return url.host === host || (allowed?.includes(url.hostname) === true && !isLoopback(url.hostname))
}

/** Other programs of the machine serve pages by these names too, on other ports. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

/** `any-address` in HOSTS stands for every IP address and for no name: DNS rebinding needs a name. */
function isAllowed(allowed: readonly string[], hostname: string): boolean {
  const isAddress = /^\d{1,3}(?:\.\d{1,3}){3}$/.test(hostname) || hostname.startsWith('[')
  return allowed.includes(hostname) || (isAddress && allowed.includes('any-address'))
}

/** The host name in a Host header, which may have a port besides, and none of the other parts of a URL. */
function hostnameOf(header: string): string | undefined {
  return /^[^@/?#\\,\s]+$/.test(header) ? URL.parse(`http://${header}`)?.hostname : undefined
}
