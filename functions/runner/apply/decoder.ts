/** From a layer's blob to its uncompressed bytes, by media type, or by the first bytes where containerd goes by them. */
import { CoreError, gunzip, unzstd } from '../../../core-wasm/index.ts'
import type { Decoder } from '../../../core-wasm/index.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { LayercastError } from '../../image/errors.ts'
import { isEncrypted, isLayer, layerCompression } from '../../image/media-type.ts'
import { tooLarge } from './guard.ts'
import { corrupt } from './tar-header.ts'

/** Takes the blob in chunks and hands its uncompressed bytes to `sink`, as views that are good for that call only. */
export class LayerDecoder {
  readonly #limit: number
  readonly #sink: (bytes: Uint8Array) => void
  // The first bytes, while they are too few to tell the compression.
  #head: Buffer | undefined
  #decoder: Decoder | undefined

  /** LAYER_UNSUPPORTED when this is no layer of a kind that can be unpacked. */
  constructor(layer: Descriptor, limit: number, sink: (bytes: Uint8Array) => void) {
    checkMediaType(layer)
    this.#limit = limit
    this.#sink = sink
    // containerd looks at the bytes of every layer whose type does not say that it is plain.
    this.#head = layerCompression(layer.mediaType) === 'none' ? undefined : Buffer.alloc(0)
  }

  /** Errors: LAYER_CORRUPT, LAYER_TOO_LARGE, LAYER_UNSUPPORTED, and what the sink throws. */
  write(chunk: Uint8Array): void {
    if (this.#head === undefined) {
      this.#decode(chunk)
      return
    }
    this.#head = Buffer.concat([this.#head, chunk])
    if (this.#head.length >= MAGIC_LENGTH) this.#open(this.#head)
  }

  /** No more comes. */
  end(): void {
    if (this.#head !== undefined) this.#open(this.#head)
    if (this.#decoder !== undefined) this.#drain((decoder) => decoder.end())
  }

  free(): void {
    this.#decoder?.free()
    this.#decoder = undefined
  }

  #open(head: Buffer): void {
    this.#head = undefined
    this.#decoder = openDecoder(head, this.#limit)
    this.#decode(head)
  }

  #decode(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    if (this.#decoder === undefined) this.#sink(chunk)
    else this.#drain((decoder) => decoder.write(chunk))
  }

  #drain(step: (decoder: Decoder) => Iterable<Uint8Array>): void {
    try {
      for (const bytes of step(this.#decoder as Decoder)) this.#sink(bytes)
    } catch (error) {
      throw error instanceof CoreError ? translate(error, this.#limit) : error
    }
  }
}

const MAGIC_LENGTH = 8

function openDecoder(head: Buffer, limit: number): Decoder | undefined {
  if (head.length >= 3 && head.readUIntBE(0, 3) === 0x1f8b08) return gunzip({ limit })
  if (head.length < 4) return undefined
  const magic = head.readUInt32LE(0)
  // A zstd frame, or a skippable one before it.
  if (magic === 0xfd2fb528 || (head.length >= MAGIC_LENGTH && magic >>> 4 === 0x184d2a5)) return unzstd({ limit })
  return undefined
}

function checkMediaType({ mediaType, digest }: Descriptor): void {
  if (isEncrypted(mediaType)) {
    throw new LayercastError('LAYER_UNSUPPORTED', `the layer ${digest} is encrypted (${mediaType})`, {
      fix: 'Apply it with containerd (--applier containerd), set up with the keys and a stream processor.',
      detail: { mediaType },
    })
  }
  if (!isLayer(mediaType) || mediaType.startsWith('application/vnd.erofs.')) {
    throw new LayercastError('LAYER_UNSUPPORTED', `the layer ${digest} has the media type ${mediaType}`, {
      fix: 'Apply it with containerd (--applier containerd).',
      detail: { mediaType },
    })
  }
}

function translate(error: CoreError, limit: number): unknown {
  if (error.code === 'OUTPUT_LIMIT') return tooLarge(`the layer expands to more than ${limit} bytes`, { size: limit })
  if (error.code === 'ZSTD_DICTIONARY' || error.code === 'ZSTD_WINDOW') {
    return new LayercastError('LAYER_UNSUPPORTED', error.message, {
      cause: error,
      fix: 'Compress the layer anew, with a window of at most 128 MiB and no dictionary.',
    })
  }
  if (/^(GZIP|DEFLATE|ZSTD)_/.test(error.code) && error.code !== 'ZSTD_MEMORY') {
    return corrupt(error.message, { core: error.code })
  }
  return error
}
