/** The tree that an image's layers describe, read from their blobs. */
import { createHash } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import { SUSPECT_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { counted, readBlob, stop } from '../read/blob.ts'
import { layerBytes } from '../read/decoder.ts'
import { readEntry } from '../read/entry.ts'
import { Guard } from '../read/guard.ts'
import { TarReader } from '../read/tar.ts'
import type { Fold } from './fold.ts'

/** What a plan says of a layer, as far as reading it needs. */
type Layer = { descriptor: Descriptor; diffID: Digest }

export interface ReadOptions {
  /** The blob of the layer, in chunks. */
  source: AsyncIterable<Uint8Array>
  /** Names in the layer's root that its snapshotter does not show. */
  hides?: readonly string[]
  signal?: AbortSignal
}

/**
 * Reads one layer, decoded and checked as an unpack would, and folds it into the tree. Nothing of it is kept but the tree.
 * Errors: LAYER_*, DIGEST_MISMATCH, DIFF_ID_MISMATCH, ABORTED, those of the source.
 */
export async function foldLayer(fold: Fold, layer: Layer, options: ReadOptions): Promise<void> {
  const { descriptor } = layer
  let name: string | undefined
  let skipped = false
  fold.nextLayer(options.hides)
  const guard = new Guard()
  const reader = new TarReader({
    entry(header) {
      name = header.name
      guard.entry(header)
      const entry = readEntry(header)
      skipped = entry === undefined
      if (entry !== undefined) fold.begin(entry)
    },
    data: (bytes, offset) => {
      if (!skipped) fold.data(bytes, offset)
    },
    end: () => {
      if (!skipped) fold.end()
    },
  })
  const hash = createHash('sha256')
  const blob = readBlob(descriptor, options.source, options.signal ? { signal: options.signal } : {})
  try {
    for await (const bytes of layerBytes(descriptor, counted(blob, guard), guard.size)) {
      guard.expanded(bytes.length)
      hash.update(bytes)
      reader.write(bytes)
    }
    reader.finish()
    fold.endLayer()
  } catch (error) {
    throw named(error, layer, name)
  } finally {
    void stop(blob)
  }
  checkDiffID(layer, `sha256:${hash.digest('hex')}`)
}

function checkDiffID({ descriptor, diffID }: Layer, actual: string): void {
  if (actual === diffID) return
  throw new LayercastError(
    'DIFF_ID_MISMATCH',
    `layer ${descriptor.digest} uncompresses to ${actual}, and the image's config says ${diffID}`,
    {
      fix: SUSPECT_FIX,
      detail: { layer: descriptor.digest, expected: diffID, actual },
    },
  )
}

/** The same error with the layer and the entry in it. */
function named(error: unknown, { descriptor }: Layer, name: string | undefined): unknown {
  if (!hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE', 'LAYER_TOO_LARGE', 'LAYER_UNSUPPORTED')) return error
  const entry = name === undefined ? undefined : fromByteString(name).slice(0, 4096)
  const where = entry === undefined ? '' : `, at entry ${JSON.stringify(entry.slice(0, 256))}`
  return new LayercastError(error.code, `layer ${descriptor.digest}${where}: ${error.message}`, {
    cause: error,
    detail: { ...error.detail, layer: descriptor.digest, ...(entry === undefined ? {} : { entry }) },
    ...(error.fix === undefined ? {} : { fix: error.fix }),
  })
}
