import type { Bytes, DecompressOptions } from './options.ts'

/** What a host may have natively. */
export interface Native {
  sha256(data: Uint8Array): Uint8Array
  /** The digest of some bytes, or of a text's UTF-8 bytes, as 64 hexadecimal digits. */
  sha256Hex(data: Uint8Array | string): string
  sha256Stream(): { update(data: Uint8Array): unknown; digest(): Uint8Array }
  /**
   * Decompresses gzip that is whole, to at most `limit` bytes. Answers nothing where it does not, for whatever reason, or where
   * something is left of the data.
   */
  gunzip?(data: Uint8Array, limit: number): Uint8Array | undefined
  /** Decompresses on another thread (decompress.ts). */
  decompress?(source: Bytes, options: DecompressOptions): AsyncIterable<Uint8Array>
}

/** SHA-256 of what comes in pieces, for who can wait. A piece may change once `update` has answered, or its promise resolved. */
export interface AsideHash {
  update(data: Uint8Array): Promise<void> | undefined
  digest(): Promise<Uint8Array> | Uint8Array
}
