/** What decompression takes: a format, data, and limits. */

/** How a stream is compressed. */
export type Format = 'gzip' | 'zstd'

export interface DecoderOptions {
  /** The most bytes that may come out; one more is the error OUTPUT_LIMIT. Without it there is no limit. */
  limit?: number | undefined
}

export interface DecompressOptions extends DecoderOptions {
  format: Format
  /** The compressed size in bytes, where it is known: it decides whether another thread is worth its start. */
  size?: number | undefined
  /** Whether another thread decompresses, where the host has threads. Absent: where the size is worth it. */
  thread?: boolean | undefined
}

/** Data in chunks. A chunk is used up before the next is asked for. */
export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>
