/** Content codings of HTTP, and when to undo them. */
import { Readable, pipeline, type Transform } from 'node:stream'
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzipSync,
  constants,
} from 'node:zlib'
import { LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'

/** Content codings (RFC 9110, section 8.4.1) that servers apply although the request accepts `identity` only. */
const CODINGS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
])
// Enough for a gzip header with a name in it, and for the first bytes of what it holds.
const PROBE_BYTES = 4096

/** The coding that an answer states; undefined for none, and for a word that is no coding (S3's `aws-chunked`). */
export function codingOf(response: Response): string | undefined {
  const stated = (response.headers.get('content-encoding') ?? '').toLowerCase().split(',')
  return stated.map((one) => one.trim()).find((one) => CODINGS.has(one))
}

/**
 * The bytes of a JSON document in an answer's body, decoded where the body is coded: its first byte tells, whatever the header
 * says. REGISTRY_FAILED for a damaged coding.
 */
export async function* documentBody(response: Response): AsyncGenerator<Uint8Array> {
  const data = chunksOf(response)
  const coding = codingOf(response)
  if (coding === undefined) return yield* data
  const { first, all } = await peek(data, 1)
  yield* /^[\s[{"]/.test(String.fromCharCode(first[0] ?? 0x20)) ? all : decode(all, coding)
}

/**
 * A blob's bytes in an answer's body, and whether they had to be decoded. By Content-Encoding servers mean one of two things:
 * what the blob itself is (Apache's mime_magic says `x-gzip` of a layer), or what they did to it on the way. The length
 * tells which; where there is none, the media type and the first bytes do. REGISTRY_FAILED for a damaged coding.
 */
export async function blobBody(
  data: AsyncIterable<Uint8Array>,
  response: Response,
  { mediaType, size }: Descriptor,
): Promise<{ data: AsyncIterable<Uint8Array>; coded: boolean }> {
  const coding = codingOf(response)
  if (coding === undefined) return { data, coded: false }
  const length = response.headers.get('content-length')
  if (length !== null)
    return Number(length) === size ? { data, coded: false } : { data: decode(data, coding), coded: true }
  const own = /[+.](?:gzip|zstd)$/.exec(mediaType)?.[0].slice(1)
  if (own !== undefined && own === coding.replace('x-', '')) {
    const { first, all } = await peek(data, PROBE_BYTES)
    if (own === 'zstd' || !isGzip(inflatedBeginning(first))) return { data: all, coded: false }
    return { data: decode(all, coding), coded: true }
  }
  return { data: decode(data, coding), coded: true }
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

function inflatedBeginning(first: Uint8Array): Uint8Array {
  try {
    return gunzipSync(first, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch (error) {
    // What does not inflate was not coded. The digest tells whether it is the blob.
    if (String((error as NodeJS.ErrnoException).code).startsWith('Z_')) return new Uint8Array()
    throw error
  }
}

async function peek(
  data: AsyncIterable<Uint8Array>,
  bytes: number,
): Promise<{ first: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const rest = data[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  for (let size = 0; size < bytes;) {
    const { done, value } = await rest.next()
    if (done) break
    held.push(value)
    size += value.length
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield* held
      yield* { [Symbol.asyncIterator]: () => rest }
    } finally {
      await rest.return?.()
    }
  }
  return { first: Buffer.concat(held).subarray(0, bytes), all: all() }
}

async function* decode(data: AsyncIterable<Uint8Array>, coding: string): AsyncGenerator<Uint8Array> {
  const decoder = CODINGS.get(coding)?.()
  if (decoder === undefined) return yield* data
  // An error of either stream comes out of the decoder.
  pipeline(Readable.from(data), decoder, () => undefined)
  try {
    for await (const chunk of decoder) yield new Uint8Array(chunk as Buffer)
  } catch (error) {
    if (!/^(Z_|ZSTD_|ERR_ZSTD|ERR_BROTLI|ERR__ERROR)/.test((error as NodeJS.ErrnoException).code ?? '')) throw error
    throw new LayercastError('REGISTRY_FAILED', `the registry sends content that is said to be ${coding} and is not`, {
      cause: error,
      fix: 'Ask whoever runs the registry, or the proxy in front of it: it was asked to send without Content-Encoding.',
    })
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  for await (const chunk of response.body ?? []) yield chunk
}
