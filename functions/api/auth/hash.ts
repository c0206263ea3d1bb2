/** The sha256 of a text, in hex: all that is ever kept of a secret. */
export async function sha256Hex(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Whether two texts are the same, in a time that depends on their lengths only. Lengths may tell: what is compared here
 * are hashes, all of one length.
 */
export function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let at = 0; at < a.length; at++) {
    // charCodeAt past the end is NaN, which the bitwise operators take for 0; the length has told already.
    difference |= a.charCodeAt(at) ^ b.charCodeAt(at)
  }
  return difference === 0
}
