/** How a stream is compressed. */
export type Format = 'gzip' | 'zstd'

export interface DecoderOptions {
  /** The most bytes that may come out; one more is the error OUTPUT_LIMIT. Without it there is no limit. */
  limit?: number
}

export interface DecompressOptions extends DecoderOptions {
  format: Format
  /** How many compressed bytes come, where that is known: it decides whether another thread is worth its start. */
  size?: number
  /** Whether another thread may decompress, where the host has threads; by default where the size is worth it. */
  thread?: boolean
}

export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>
