import type { Context } from 'hono'
import { LayercastError } from '../../errors.ts'

/**
 * Refuses what a page of another site makes a browser send, where no token is asked for: an open planner on this machine
 * is for programs of this machine, and a browser here runs anybody's. TOKEN_MISSING.
 */
export function refuseCrossSite(c: Context): void {
  const site = c.req.header('sec-fetch-site')
  if (c.req.method === 'GET' || site === undefined || site === 'none' || site === 'same-origin') return
  throw new LayercastError('TOKEN_MISSING', 'a page of another site may not call this without a token', {
    fix: 'Call it from a program, or send a token.',
  })
}
