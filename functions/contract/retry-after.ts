/** Retry-After: when a server wants to be asked again (RFC 9110, section 10.2.3). */

/**
 * How long the Retry-After header of an answer says to wait, in milliseconds from now; undefined without the header, or where
 * it is neither seconds nor a date. A date is compared with the answer's Date header where there is one, so that our own clock,
 * which may be wrong by days, does not matter.
 */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // An HTTP date begins with the name of a day. Date.parse alone would take "1.5" for a date too.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) return undefined
  const now = Date.parse(headers.get('date') ?? '')
  return Math.max(0, at - (Number.isNaN(now) ? Date.now() : now))
}
