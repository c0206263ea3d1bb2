/** Compares the verdict and the bytes of the core with those of node:zlib, and knows where the two rightly differ. */
import { gunzipSync, inflateRawSync, zstdDecompressSync, type ZlibOptions } from 'node:zlib'
import { gunzip, unzstd, type CoreCode, type Decoder } from '../../../core-wasm/core.ts'
import { concat, crc32, cut, verdict, type Verdict } from '../suites/support.ts'

/** The most that an input of the fuzzer may decompress to; more is refused by both. */
const LIMIT = 1_000_000

interface Theirs {
  bytes: Uint8Array
  /** How much of the input they looked at. */
  consumed: number
}

type Decompress = (data: Uint8Array, options: ZlibOptions) => unknown

/** What node:zlib makes of an input; nothing when it refuses it. */
function theirs(decompress: Decompress, data: Uint8Array): Theirs | undefined {
  try {
    const { buffer, engine } = decompress(data, { info: true, maxOutputLength: LIMIT }) as {
      buffer: Uint8Array
      engine: { bytesWritten: number }
    }
    return { bytes: buffer, consumed: engine.bytesWritten }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || !/^(Z_|ZSTD_error_|ERR_BUFFER_TOO_LARGE)/.test(code)) throw error
    return undefined
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function describe(ours: Verdict, other: Theirs | undefined): string {
  const mine = 'code' in ours ? ours.code : `${ours.bytes.length} bytes`
  return `ours: ${mine}; node:zlib: ${other === undefined ? 'refused' : `${other.bytes.length} bytes of ${other.consumed} read`}`
}

/** How an input was judged: alike, or in a way that rightly differs (its name), or wrongly (an explanation). */
export type Judgement = { alike: 'accepted' | 'refused' } | { differs: string } | { wrong: string }

const REFUSED_BY_DEFLATE = new Set<CoreCode>([
  'DEFLATE_BLOCK_TYPE',
  'DEFLATE_STORED_LENGTH',
  'DEFLATE_CODE_LENGTHS',
  'DEFLATE_SYMBOL',
  'DEFLATE_DISTANCE',
  'GZIP_TRUNCATED',
  'OUTPUT_LIMIT',
])

/**
 * A deflate stream, judged apart from the gzip around it: where node:zlib accepts it, it gets the right trailer and the
 * same bytes must come out; where not, it must be refused for what the stream is, not for its trailer.
 */
export function judgeDeflate(stream: Uint8Array, next: () => number): Judgement {
  const other = theirs(inflateRawSync as Decompress, stream)
  const header = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
  const trailer = new Uint8Array(8)
  if (other !== undefined) {
    const view = new DataView(trailer.buffer)
    view.setUint32(0, crc32(other.bytes), true)
    view.setUint32(4, other.bytes.length, true)
  }
  const whole = concat([
    header,
    stream.subarray(0, other?.consumed ?? stream.length),
    other === undefined ? new Uint8Array() : trailer,
  ])
  const ours = twice(gunzip, whole, next)
  if (ours === undefined) return { wrong: 'the verdict depends on how the input is cut' }
  if (other === undefined) {
    return 'code' in ours && REFUSED_BY_DEFLATE.has(ours.code) ? { alike: 'refused' } : { wrong: describe(ours, other) }
  }
  return 'bytes' in ours && equal(ours.bytes, other.bytes) ? { alike: 'accepted' } : { wrong: describe(ours, other) }
}

/** gzip as a whole. */
export function judgeGzip(data: Uint8Array, next: () => number): Judgement {
  const other = theirs(gunzipSync as Decompress, data)
  const ours = twice(gunzip, data, next)
  if (ours === undefined) return { wrong: 'the verdict depends on how the input is cut' }
  if ('code' in ours && other === undefined) return { alike: 'refused' }
  if ('bytes' in ours && other !== undefined && equal(ours.bytes, other.bytes)) return { alike: 'accepted' }
  // node:zlib stops at a zero byte after a member and says nothing of what follows; a member there is lost with the rest.
  if ('code' in ours && ours.code === 'GZIP_TRAILING_GARBAGE' && other !== undefined && other.consumed < data.length) {
    return { differs: 'node:zlib ignores what follows the zero after a member' }
  }
  return { wrong: describe(ours, other) }
}

/** zstd: what node:zlib reads, its first frame, must come out the same; what follows it never looks at. */
export function judgeZstd(data: Uint8Array, next: () => number): Judgement {
  const other = theirs(zstdDecompressSync as Decompress, data)
  const ours = twice(unzstd, data, next)
  if (ours === undefined) return { wrong: 'the verdict depends on how the input is cut' }
  if ('code' in ours && other === undefined) return { alike: 'refused' }
  if ('bytes' in ours && other !== undefined && equal(ours.bytes, other.bytes)) return { alike: 'accepted' }
  if (other !== undefined && other.consumed < data.length) {
    const first = verdict(unzstd({ limit: LIMIT }), [data.subarray(0, other.consumed)])
    if ('bytes' in first && equal(first.bytes, other.bytes))
      return { differs: 'node:zlib ignores what follows the first frame' }
  }
  if ('code' in ours && other !== undefined) {
    const differs = STRICTER[ours.code]
    if (differs !== undefined) return { differs }
    // §3.1.1.1.4: the header gives the size of the content; libzstd does not compare it where the last block is empty.
    if (ours.code === 'ZSTD_CONTENT_SIZE' && contentSize(data) !== other.bytes.length) {
      return { differs: 'node:zlib does not check the content size of a frame whose last block is empty' }
    }
  }
  return { wrong: describe(ours, other) }
}

/** The content size that the first frame's header gives, skippable frames before it passed over (RFC 8878 §3.1.1.1). */
function contentSize(data: Uint8Array): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  let at = 0
  while (view.getUint32(at, true) >>> 4 === 0x184d2a5) at += 8 + view.getUint32(at + 4, true)
  const descriptor = view.getUint8(at + 4)
  const singleSegment = (descriptor >> 5) & 1
  const from = at + 5 + (1 - singleSegment) + ([0, 1, 2, 4][descriptor & 3] ?? 0)
  const flag = descriptor >> 6
  if (flag === 0) return singleSegment === 1 ? view.getUint8(from) : undefined
  if (flag === 1) return view.getUint16(from, true) + 256
  return flag === 2 ? view.getUint32(from, true) : Number(view.getBigUint64(from, true))
}

/** Where RFC 8878 asks for a refusal and libzstd, for speed, does not look. */
const STRICTER: Partial<Record<CoreCode, string>> = {
  // §4.2.2: a stream not entirely and exactly consumed is faulty; libzstd's fast loop checks its output's length only.
  ZSTD_LITERALS_STREAM: 'node:zlib does not check that the streams of literals are used up',
  // §3.1.1.2.3: a compressed block has a literals section, so it has a first byte.
  ZSTD_BLOCK_SIZE: 'node:zlib takes a compressed block of no bytes',
}

/**
 * The verdict, twice now and then: whole, and cut into pieces with another input's remains in the memory, so that a read
 * outside the buffers shows as a difference. Nothing when the two differ.
 */
function twice(
  open: (options: { limit: number }) => Decoder,
  data: Uint8Array,
  next: () => number,
): Verdict | undefined {
  const ours = verdict(open({ limit: LIMIT }), [data])
  if (next() % 8 > 0) return ours
  verdict(open({ limit: LIMIT }), [REMAINS[next() % REMAINS.length] ?? data])
  const again = verdict(open({ limit: LIMIT }), cut(data, [1 + (next() % 600), 1 + (next() % 30)]))
  if ('code' in ours || 'code' in again) {
    return 'code' in ours && 'code' in again && (ours.code === again.code || ours.code === 'OUTPUT_LIMIT')
      ? ours
      : undefined
  }
  return equal(ours.bytes, again.bytes) ? ours : undefined
}

const REMAINS = [remains(0xff), remains(0xaa), remains(0x01)]

/** gzip of a stored block, after it 300 KB that are never decoded: they stay in the input region. */
function remains(byte: number): Uint8Array {
  return new Uint8Array(500_000).fill(byte)
}
