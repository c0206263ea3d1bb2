/** What a host does natively, and the core's code uses where it is there. */
import type { Bytes, DecompressOptions } from './options.ts'

/** Node has all of it, workerd none. */
export interface Native {
  sha256(data: Uint8Array): Uint8Array
  /** The digest of some bytes, or of a text's UTF-8 bytes, as 64 hexadecimal digits. */
  sha256Hex(data: Uint8Array | string): string
  sha256Stream(): { update(data: Uint8Array): unknown; digest(): Uint8Array }
  /**
   * Decompresses gzip that is whole, to at most `limit` bytes. Undefined where that fails, for whatever reason, and where it did
   * not use all of the data.
   */
  gunzip?(data: Uint8Array, limit: number): Uint8Array | undefined
  /** Decompresses on another thread (decompress.ts). */
  decompress?(source: Bytes, options: DecompressOptions): AsyncIterable<Uint8Array>
}

/**
 * SHA-256 of a message that comes in pieces, for a caller that can wait. The caller may overwrite a piece when `update` has returned
 * undefined, or when the promise that it returned has resolved.
 */
export interface AsyncHash {
  update(data: Uint8Array): Promise<void> | undefined
  digest(): Promise<Uint8Array> | Uint8Array
}
