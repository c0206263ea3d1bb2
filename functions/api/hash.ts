/** Hashes of secrets: a secret itself is never kept, only its sha256. */

/** The sha256 of a text, in hex. */
export async function sha256Hex(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Whether two texts are equal, in a time that depends on their lengths only. The lengths are no secret: every hash that is
 * compared here has the same one.
 */
export function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let at = 0; at < a.length; at++) {
    // Past the end of `b`, charCodeAt gives NaN, which the bitwise operators take for 0; `difference` is not 0 by then.
    difference |= a.charCodeAt(at) ^ b.charCodeAt(at)
  }
  return difference === 0
}
