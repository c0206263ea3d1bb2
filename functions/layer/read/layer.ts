/** The one reading of a layer's archive: blob, decoder, bounds, digests, tar and entries, into whatever takes the entries. */
import { createHash } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { counted, readBlob, stop } from './blob.ts'
import type { BlobOptions } from './blob.ts'
import { layerBytes } from './decoder.ts'
import { readEntry } from './entry.ts'
import type { Entry } from './entry.ts'
import { Guard } from './guard.ts'
import type { Limits } from './guard.ts'
import type { TarHeader } from './tar-member.ts'
import { TarReader } from './tar.ts'
import type { TarVisitor } from './tar.ts'

/** Takes a layer's entries as they come by. Its calls are synchronous, so that the archive is never ahead of it. */
export interface LayerSink {
  /** An entry; the data of a file follows, then `end`. */
  begin(entry: Entry): void
  /** Bytes of the present entry, in order; `offset` is where in the file they go. The view is good for this call only. */
  data(bytes: Uint8Array, offset: number): void
  /** The present entry is complete. */
  end(): void
  /** All entries have come. */
  finish(): void
}

export interface ReadLayerOptions extends BlobOptions {
  limits?: Partial<Limits> | undefined
}

/** The layer's uncompressed archive, with everything that follows its end: its digest, and its size in bytes. */
export interface ReadLayer {
  diffID: Digest
  size: number
}

/**
 * Reads a layer to its end, checks the blob against its descriptor, and gives the sink its entries. The diff ID is for the
 * caller to compare, and a failure leaves the sink as it is.
 * Errors: LAYER_CORRUPT, LAYER_UNSAFE, LAYER_TOO_LARGE, LAYER_UNSUPPORTED, DIGEST_MISMATCH, ABORTED, those of the source and
 * those of the sink; with the entry's name in `detail.entry` where one is at fault.
 */
export async function readLayer(
  layer: Descriptor,
  source: AsyncIterable<Uint8Array>,
  sink: LayerSink,
  options: ReadLayerOptions,
): Promise<ReadLayer> {
  const guard = new Guard(options.limits)
  const entries = new Entries(sink, guard)
  const reader = new TarReader(entries)
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
    entries.finish()
  } catch (error) {
    throw located(await withTrueCause(error, blob), layer, entries.present)
  } finally {
    void stop(blob)
  }
  return { diffID: `sha256:${hash.digest('hex')}` as Digest, size }
}

/** From the archive's members to the entries that they stand for; remembers which one an error is about. */
class Entries implements TarVisitor {
  readonly #sink: LayerSink
  readonly #guard: Guard
  #name: string | undefined
  #skipped = false

  constructor(sink: LayerSink, guard: Guard) {
    this.#sink = sink
    this.#guard = guard
  }

  /** The name of the last member, a byte string; undefined before the first, and once all have come. */
  get present(): string | undefined {
    return this.#name
  }

  entry(header: TarHeader): void {
    this.#name = header.name
    this.#guard.entry(header)
    const entry = readEntry(header)
    this.#skipped = entry === undefined
    if (entry !== undefined) this.#sink.begin(entry)
  }

  data(bytes: Uint8Array, offset: number): void {
    if (!this.#skipped) this.#sink.data(bytes, offset)
  }

  end(): void {
    if (!this.#skipped) this.#sink.end()
  }

  finish(): void {
    this.#name = undefined
    this.#sink.finish()
  }
}

/**
 * A blob that is not the one its digest names gives strange errors first. So the rest of it is read, and where its digest is
 * wrong, DIGEST_MISMATCH is the error instead.
 */
async function withTrueCause(error: unknown, blob: AsyncGenerator<Uint8Array>): Promise<unknown> {
  if (!hasCode(error, 'LAYER_CORRUPT')) return error
  try {
    for (let next = await blob.next(); next.done !== true; next = await blob.next());
    return error
  } catch (second) {
    if (!hasCode(second, 'DIGEST_MISMATCH')) return second
    const { code, message, detail, fix } = second
    return new LayercastError(code, message, { cause: error, detail, fix })
  }
}

/** The same error with the layer, and the entry that it is about, in its message. */
function located(error: unknown, { digest }: Descriptor, name: string | undefined): unknown {
  if (!hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE', 'LAYER_TOO_LARGE', 'LAYER_UNSUPPORTED', 'SYSTEM_CALL_FAILED')) {
    return error
  }
  const entry = name === undefined ? undefined : fromByteString(name).slice(0, 4096)
  const where = entry === undefined ? '' : `, at entry ${JSON.stringify(entry.slice(0, 256))}`
  return new LayercastError(error.code, `layer ${digest}${where}: ${error.message}`, {
    cause: error,
    detail: { ...error.detail, layer: digest, ...(entry === undefined ? {} : { entry }) },
    fix: error.fix,
  })
}
