/** What a host may have natively. */
export interface Native {
  sha256(data: Uint8Array): Uint8Array
  /** The digest of a text's UTF-8 bytes, as 64 hexadecimal digits. */
  sha256Hex(text: string): string
  sha256Stream(): { update(data: Uint8Array): unknown; digest(): Uint8Array }
}
