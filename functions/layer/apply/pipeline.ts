/** The way of one layer: blob, decoder, then side by side the diff ID's hash and the archive's entries into the tree. */
import { createHash } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { counted, readBlob, stop } from '../read/blob.ts'
import type { BlobOptions } from '../read/blob.ts'
import { layerBytes } from '../read/decoder.ts'
import { readEntry } from '../read/entry.ts'
import { Guard } from '../read/guard.ts'
import type { Limits } from '../read/guard.ts'
import type { TarHeader } from '../read/tar-member.ts'
import { TarReader } from '../read/tar.ts'
import type { TarVisitor } from '../read/tar.ts'
import type { Applied } from './types.ts'
import { Tree } from './writer.ts'
import type { TreeOptions } from './writer.ts'

export interface PipelineOptions extends BlobOptions, TreeOptions {
  limits?: Partial<Limits>
}

/**
 * Writes a layer below the open directory `root`, and gives the digest and size of its uncompressed archive, with
 * everything that follows the archive's end. What was written stays when it fails.
 * Errors: LAYER_CORRUPT, LAYER_UNSAFE, LAYER_TOO_LARGE, LAYER_UNSUPPORTED, DIGEST_MISMATCH, SYSTEM_CALL_FAILED, ABORTED,
 * with the entry's name in `detail.entry` where one is at fault, and those of the source.
 */
export async function writeLayer(
  layer: Descriptor,
  source: AsyncIterable<Uint8Array>,
  root: number,
  options: PipelineOptions,
): Promise<Applied> {
  const guard = new Guard(options.limits)
  const tree = new Tree(root, options)
  const visitor = new LayerVisitor(tree, guard)
  const reader = new TarReader(visitor)
  const hash = createHash('sha256')
  let size = 0
  const blob = readBlob(layer, source, options)
  try {
    for await (const bytes of layerBytes(layer, counted(blob, guard), guard.size)) {
      size += bytes.length
      guard.expanded(bytes.length)
      hash.update(bytes)
      reader.write(bytes)
    }
    reader.finish()
    visitor.finish()
  } catch (error) {
    throw visitor.name(await blamed(error, blob), layer)
  } finally {
    visitor.close()
    void stop(blob)
  }
  const { impliesDirectories } = tree
  return { diffID: `sha256:${hash.digest('hex')}` as Digest, size, impliesDirectories }
}

/**
 * A blob that is not the one its digest names gives strange errors first; the digest is the truth of the matter. So the
 * rest of it is read, and DIGEST_MISMATCH is the error instead when that is the cause.
 */
async function blamed(error: unknown, blob: AsyncGenerator<Uint8Array>): Promise<unknown> {
  if (!hasCode(error, 'LAYER_CORRUPT')) return error
  try {
    for (let next = await blob.next(); next.done !== true; next = await blob.next());
    return error
  } catch (second) {
    return hasCode(second, 'DIGEST_MISMATCH')
      ? new LayercastError(second.code, second.message, { cause: error, detail: second.detail, ...fixOf(second) })
      : second
  }
}

function fixOf(error: LayercastError): { fix?: string } {
  return error.fix === undefined ? {} : { fix: error.fix }
}

/** Between the archive and the tree: counts, tells entries apart, and knows which one an error is about. */
class LayerVisitor implements TarVisitor {
  readonly #tree: Tree
  readonly #guard: Guard
  #name: string | undefined
  #skipped = false

  constructor(tree: Tree, guard: Guard) {
    this.#tree = tree
    this.#guard = guard
  }

  entry(header: TarHeader): void {
    this.#name = header.name
    this.#guard.entry(header)
    const entry = readEntry(header)
    this.#skipped = entry === undefined
    if (entry !== undefined) this.#tree.begin(entry)
  }

  data(bytes: Uint8Array, offset: number): void {
    if (!this.#skipped) this.#tree.data(bytes, offset)
  }

  end(): void {
    if (!this.#skipped) this.#tree.end()
  }

  finish(): void {
    this.#name = undefined
    this.#tree.finish()
  }

  close(): void {
    this.#tree.close()
  }

  /** The same error with the layer and the last entry in its message. */
  name(error: unknown, layer: Descriptor): unknown {
    if (
      !hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE', 'LAYER_TOO_LARGE', 'LAYER_UNSUPPORTED', 'SYSTEM_CALL_FAILED')
    ) {
      return error
    }
    const entry = this.#name === undefined ? undefined : fromByteString(this.#name).slice(0, 4096)
    const where = entry === undefined ? '' : `, at entry ${JSON.stringify(entry.slice(0, 256))}`
    return new LayercastError(error.code, `layer ${layer.digest}${where}: ${error.message}`, {
      cause: error,
      detail: { ...error.detail, layer: layer.digest, ...(entry === undefined ? {} : { entry }) },
      ...fixOf(error),
    })
  }
}
