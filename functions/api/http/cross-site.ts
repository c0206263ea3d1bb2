/**
 * Requests that a page of another site makes a browser send (CSRF). Not hono/csrf: it refuses forms of programs, which state
 * neither Origin nor Sec-Fetch-Site (curl -F), and lets bodies of other types through.
 */
import type { Context } from 'hono'
import { LayercastError } from '../../errors.ts'

/**
 * Refuses a cross-site request to a route that needs no token: an open planner on a machine is for the programs of that
 * machine, and a browser on it runs the code of any site. TOKEN_MISSING.
 */
export function refuseCrossSite(c: Context): void {
  const site = c.req.header('sec-fetch-site')
  if (c.req.method === 'GET' || site === undefined || site === 'none' || site === 'same-origin') return
  throw new LayercastError('TOKEN_MISSING', 'a page of another site may not call this without a token', {
    fix: 'Call it from a program, or send a token.',
  })
}
