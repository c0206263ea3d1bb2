/** A text as UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** A value as the bytes of a JSON document. */
export function json(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value))
}
