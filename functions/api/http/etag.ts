/** Whether an If-None-Match header names this entity tag (RFC 9110, section 13.1.2: compared weakly). */
export function matchesETag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((held) => held.trim().replace(/^W\//, '') === etag)
}

/** How long what is named by its own digest may be kept: for ever, and by whom it was given to alone unless it is open. */
export function immutable(open: boolean): string {
  return `${open ? 'public' : 'private'}, max-age=31536000, immutable`
}
