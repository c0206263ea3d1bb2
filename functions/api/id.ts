/** Ids of rows, tokens and logged failures. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** An id for a row: 48 bits of time and 80 random ones in 26 letters, so that ids sort by when they were made. */
export function newId(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10))
  let value = BigInt(now)
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  let text = ''
  for (let letter = 0; letter < 26; letter++) {
    text = ALPHABET[Number(value & 31n)] + text
    value >>= 5n
  }
  return text
}
