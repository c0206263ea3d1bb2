/** Exact text by digest, in parts: what images and plans are kept as. */
import type { D1Database, D1PreparedStatement } from '@cloudflare/workers-types'

/** In UTF-16 units, of which one is three bytes of UTF-8 at most: well below the 2 MB of a D1 value. */
const PART = 512 * 1024

/** The statements that keep a document. Writing what is there already changes nothing. */
export function keepText(db: D1Database, fleet: string, digest: string, bytes: Uint8Array): D1PreparedStatement[] {
  // Fatal and with its byte order mark kept, decoding loses nothing: encoding gives the same bytes again.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  const insert = db.prepare('INSERT OR IGNORE INTO texts (fleet, digest, part, text) VALUES (?, ?, ?, ?)')
  return splitText(text, PART).map((part, at) => insert.bind(fleet, digest, at, part))
}

/** The bytes of a document that is kept. */
export async function readText(db: D1Database, fleet: string, digest: string): Promise<Uint8Array> {
  const select = db.prepare('SELECT text FROM texts WHERE fleet = ? AND digest = ? ORDER BY part')
  const { results } = await select.bind(fleet, digest).all<{ text: string }>()
  return new TextEncoder().encode(results.map((row) => row.text).join(''))
}

/** Splits a text into parts of at most `size` units, never between the two halves of a surrogate pair. */
export function splitText(text: string, size: number): string[] {
  const parts: string[] = []
  for (let from = 0; from < text.length || parts.length === 0;) {
    let to = Math.min(from + size, text.length)
    const last = text.charCodeAt(to - 1)
    if (to < text.length && last >= 0xd800 && last <= 0xdbff) to--
    parts.push(text.slice(from, to))
    from = to
  }
  return parts
}
