import type { MiddlewareHandler } from 'hono'
import { LayercastError } from '../../image/errors.ts'
import type { AppEnv } from '../env.ts'

/**
 * Answers only to the names that the deployment gives in HOSTS, where it gives any: a name of an attacker's that leads
 * here (DNS rebinding) is none of them. And only to pages of those names, or of the very host that is asked, where a
 * browser says which page it asks for. HOST_REFUSED and ORIGIN_REFUSED.
 */
export const allowedHost: MiddlewareHandler<AppEnv> = async (c, next) => {
  const { host, hostname } = new URL(c.req.url)
  const allowed = c.env.HOSTS?.split(' ').filter((name) => name !== '')
  const header = c.req.header('host')
  const asked = header === undefined ? [hostname] : [hostname, hostnameOf(`http://${header}`)]
  if (allowed !== undefined) {
    for (const name of asked) {
      if (name !== undefined && isAllowed(allowed, name)) continue
      throw new LayercastError(
        'HOST_REFUSED',
        `this server does not answer to the name ${JSON.stringify(header ?? host)}`,
        {
          fix: 'Ask for it by its address, or start it with --allow-host and that name.',
        },
      )
    }
  }
  const origin = c.req.header('origin')
  if (origin !== undefined && !isOwnOrigin(origin, host, allowed)) {
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

function hostnameOf(url: string): string | undefined {
  return URL.parse(url)?.hostname
}
