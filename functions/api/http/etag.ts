/**
 * Conditional requests. Not hono/etag: that one compares after the whole answer was made, while a node that asks for an
 * unchanged assignment, the commonest call of all, is answered before its assignment is read.
 */

/** Whether an If-None-Match header names an entity tag (RFC 9110, section 13.1.2: compared weakly). */
export function matchesETag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((held) => held.trim().replace(/^W\//, '') === etag)
}

/** Cache-Control for a document that is named by its own digest: it never changes. Shared caches keep it only if anyone may read it. */
export function immutable(isPublic: boolean): string {
  return `${isPublic ? 'public' : 'private'}, max-age=31536000, immutable`
}
