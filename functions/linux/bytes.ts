/**
 * Names on Linux are bytes, not text. A byte string is a string with one character (U+0000 to U+00FF) for each byte, so
 * that a name which is no UTF-8 survives, and compares and splits as the kernel does.
 */

/** The byte string of a text, in UTF-8. */
export function toByteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** The text of a byte string, for people; bytes that are no UTF-8 become U+FFFD. */
export function fromByteString(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
