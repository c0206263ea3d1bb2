/** From a layer's blob to its uncompressed bytes, by media type, or by the first bytes where containerd goes by them. */
import { CoreError, decompress } from '../../../core-wasm/core.ts'
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { isEncrypted, isLayer, layerCompression } from '../../image/media-type.ts'
import { tooLarge } from './guard.ts'
import { corrupt } from './tar-header.ts'

/**
 * The uncompressed bytes of a layer, as views that are good until the next is asked for; a large layer is decompressed on another
 * thread, beside whatever is done with them. `blob` is not told to stop: that is for whoever made it.
 * Errors: LAYER_CORRUPT, LAYER_TOO_LARGE beyond `limit` bytes, LAYER_UNSUPPORTED when this is no layer of a kind that can be
 * unpacked, and those of `blob`.
 */
export async function* layerBytes(
  layer: Descriptor,
  blob: AsyncIterator<Uint8Array>,
  limit: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkMediaType(layer)
  // containerd looks at the bytes of every layer whose type does not say that it is plain.
  const head = layerCompression(layer.mediaType) === 'none' ? Buffer.alloc(0) : await readHead(blob)
  const format = compressionOf(head)
  const all = { [Symbol.asyncIterator]: () => following(head, blob) }
  if (format === undefined) {
    yield* all
    return
  }
  try {
    yield* decompress(all, { format, limit, size: layer.size })
  } catch (error) {
    throw error instanceof CoreError ? translate(error, limit) : error
  }
}

const MAGIC_LENGTH = 8

/** As many chunks as it takes to tell the compression, or all there are. */
async function readHead(blob: AsyncIterator<Uint8Array>): Promise<Buffer> {
  let head = Buffer.alloc(0)
  while (head.length < MAGIC_LENGTH) {
    const next = await blob.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
  }
  return head
}

async function* following(head: Buffer, blob: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (let next = await blob.next(); next.done !== true; next = await blob.next()) yield next.value
}

function compressionOf(head: Buffer): 'gzip' | 'zstd' | undefined {
  if (head.length >= 3 && head.readUIntBE(0, 3) === 0x1f8b08) return 'gzip'
  if (head.length < 4) return undefined
  const magic = head.readUInt32LE(0)
  // A zstd frame, or a skippable one before it.
  if (magic === 0xfd2fb528 || (head.length >= MAGIC_LENGTH && magic >>> 4 === 0x184d2a5)) return 'zstd'
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
