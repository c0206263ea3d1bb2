/**
 * Headers of every answer. There is no CORS: without its headers, browsers give no answer of the API to a page of another
 * origin. There is no request ID: a failure that nobody foresaw has an ID of its own (problems.ts), and hono/request-id would
 * make one for every call and take the caller's word for it.
 */
import type { MiddlewareHandler } from 'hono'
import { secureHeaders } from 'hono/secure-headers'

/** What browsers are told. The headers of Hono's that concern pages are left out: no answer is a page. */
export const securityHeaders: MiddlewareHandler = secureHeaders({
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  xContentTypeOptions: true,
  referrerPolicy: true,
  crossOriginResourcePolicy: true,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  strictTransportSecurity: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xFrameOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
})

/** No cache keeps an answer unless its route says so. */
export const noStore: MiddlewareHandler = async (c, next) => {
  await next()
  if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
}
