/** Decompression of a whole blob, on another thread where that is worth it. */
import { native } from '#core-module'
import { gunzip, unzstd } from './decoder.ts'
import type { Bytes, DecompressOptions } from './options.ts'

/** With fewer compressed bytes than this, a stream is done before a thread has started (about 30 ms). */
const THREAD_FROM = 0x400000

/**
 * Decompresses all of `source`, on another thread where the host has threads and the size is worth it: then the caller works on
 * the bytes while the next ones are made. Yields views that are valid until the next is asked for: copy what you keep.
 * Errors: CoreError as of `gunzip` and `unzstd`, and those of the source.
 */
export function decompress(source: Bytes, options: DecompressOptions): AsyncIterable<Uint8Array> {
  const thread = options.thread ?? (options.size ?? 0) >= THREAD_FROM
  return thread && native?.decompress !== undefined ? native.decompress(source, options) : here(source, options)
}

async function* here(source: Bytes, options: DecompressOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = (options.format === 'gzip' ? gunzip : unzstd)(options)
  try {
    for await (const chunk of source) yield* decoder.write(chunk)
    yield* decoder.end()
  } finally {
    decoder.free()
  }
}
