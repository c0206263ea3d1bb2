/** Exact text by digest, which is how images and plans are kept: in parts, because a D1 value holds 2 MB at most. */
import type { FleetDatabase, Statement } from './fleet-database.ts'

/** In UTF-16 units. One unit is at most three bytes of UTF-8, so that a part stays well below the 2 MB. */
const PART = 512 * 1024

/** The statements that keep a document. A document that is there already is left as it is. */
export function keepText({ db, fleet }: FleetDatabase, digest: string, bytes: Uint8Array): Statement[] {
  // `fatal` and `ignoreBOM` make decoding lossless: encoding the text again gives the same bytes.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  const insert = db.prepare('INSERT OR IGNORE INTO texts (fleet, digest, part, text) VALUES (?, ?, ?, ?)')
  return splitText(text, PART).map((part, at) => insert.bind(fleet, digest, at, part))
}

/** The bytes of a document that is kept. */
export async function readText({ db, fleet }: FleetDatabase, digest: string): Promise<Uint8Array> {
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
