/** Canonical JSON (RFC 8785), so that a plan has the same bytes wherever it is computed. */
import { LayercastError } from '../errors.ts'
import { quote } from '../image/quote.ts'

/**
 * The canonical JSON text of a value (RFC 8785): no white space, keys in the order of their UTF-16 code units, numbers
 * and strings as ECMAScript writes them. Properties that are undefined are left out. JSON_INVALID for what JSON cannot
 * hold: numbers that are not finite, half a surrogate pair, functions and the like.
 */
export function canonicalize(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (typeof value === 'string' && value.isWellFormed()) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalize).join(',')}]`
  if (typeof value === 'object') {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, member]) => `${canonicalize(key)}:${canonicalize(member)}`).join(',')}}`
  }
  throw new LayercastError('JSON_INVALID', `${quote(String(value))} cannot be written as JSON`, {
    fix: 'Use finite numbers and well-formed Unicode text.',
  })
}

/** The canonical JSON of a value as UTF-8. */
export function canonicalBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalize(value))
}
