/** Reads a layer's blob, one chunk ahead of what is done with it, checked against its descriptor. */
import { createHash } from 'node:crypto'
import { LayercastError } from '../../errors.ts'
import { DAMAGED_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { digestAlgorithm } from '../../image/digest.ts'
import type { Guard } from './guard.ts'

export interface BlobOptions {
  signal?: AbortSignal | undefined
  /** Told of the bytes that have come so far. */
  onProgress?: ((bytes: number) => void) | undefined
}

/**
 * The blob's chunks. After the last one its size and digest are checked, and no byte beyond the size is given.
 * Errors: DIGEST_MISMATCH, ABORTED, and those of the source.
 */
export async function* readBlob(
  layer: Descriptor,
  source: AsyncIterable<Uint8Array>,
  options: BlobOptions = {},
): AsyncGenerator<Uint8Array> {
  const hash = createHash(digestAlgorithm(layer.digest))
  const iterator = source[Symbol.asyncIterator]()
  const aborted = whenAborted(layer, options.signal)
  let size = 0
  let finished = false
  try {
    let next = iterator.next()
    for (;;) {
      // The abort comes first in the race: a source whose chunks are there already would win it every time.
      const result = await (aborted === undefined ? next : Promise.race([aborted.promise, next]))
      if (result.done === true) {
        finished = true
        break
      }
      size += result.value.length
      if (size > layer.size) throw wrongSize(layer, size)
      // The next chunk is on its way while this one is worked on. Its failure is thrown when it is awaited.
      next = iterator.next()
      next.catch(() => undefined)
      hash.update(result.value)
      yield result.value
      options.onProgress?.(size)
    }
  } finally {
    aborted?.remove()
    if (!finished) void stop(iterator)
  }
  if (size !== layer.size) throw wrongSize(layer, size)
  const actual = `${digestAlgorithm(layer.digest)}:${hash.digest('hex')}`
  if (actual !== layer.digest) {
    throw new LayercastError('DIGEST_MISMATCH', `the blob of layer ${layer.digest} has the digest ${actual}`, {
      fix: DAMAGED_FIX,
      detail: { expected: layer.digest, actual },
    })
  }
}

/** The chunks of a blob, counted by the guard. */
export async function* counted(blob: AsyncIterator<Uint8Array>, guard: Guard): AsyncGenerator<Uint8Array> {
  for (let next = await blob.next(); next.done !== true; next = await blob.next()) {
    guard.compressed(next.value.length)
    yield next.value
  }
}

/** Tells a source to stop. Do not await it: the source may be waiting for something that never comes. */
export async function stop(iterator: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await iterator.return?.()
  } catch (error) {
    // Nothing is lost: the source was read to its end, or the failure that ended the reading is being reported.
    void error
  }
}

function wrongSize(layer: Descriptor, size: number): LayercastError {
  const more = size > layer.size ? 'at least ' : ''
  return new LayercastError(
    'DIGEST_MISMATCH',
    `the blob of layer ${layer.digest} has ${more}${size} bytes, not ${layer.size}`,
    {
      fix: DAMAGED_FIX,
      detail: { expected: layer.size, actual: size },
    },
  )
}

function whenAborted(
  layer: Descriptor,
  signal: AbortSignal | undefined,
): { promise: Promise<never>; remove: () => void } | undefined {
  if (signal === undefined) return undefined
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  const abort = (): void => {
    reject(new LayercastError('ABORTED', `reading layer ${layer.digest} was aborted`, { cause: signal.reason }))
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return { promise, remove: () => signal.removeEventListener('abort', abort) }
}
