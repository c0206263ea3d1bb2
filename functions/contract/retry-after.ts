/** When a server that does not answer now wants to be asked again (RFC 9110, section 10.2.3). */

/**
 * How long its Retry-After header says to wait, in milliseconds from now; undefined without one, or for one that is
 * neither seconds nor a date. A date is taken against the answer's own Date where there is one: the server's clock is then
 * compared with itself, and ours, which may be days off, says nothing.
 */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // HTTP dates name their day; Date.parse alone would also take "1.5" for one.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) return undefined
  const now = Date.parse(headers.get('date') ?? '')
  return Math.max(0, at - (Number.isNaN(now) ? Date.now() : now))
}
