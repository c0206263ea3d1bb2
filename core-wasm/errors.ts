/** The errors of the core: their codes and messages. */
import * as status from './assembly/status.ts'

/** What can be wrong with the data, and with the use of a decoder. The codes are stable. */
const MESSAGES = {
  GZIP_MAGIC: 'this is not gzip: it does not begin with 1f 8b (RFC 1952 §2.3.1)',
  GZIP_METHOD: 'a gzip member has a compression method other than deflate (RFC 1952 §2.3.1)',
  GZIP_FLAGS: 'a gzip member sets reserved flags (RFC 1952 §2.3.1.2)',
  GZIP_HEADER_CRC: 'the CRC of a gzip header does not match it (RFC 1952 §2.3.1, FHCRC)',
  GZIP_CRC: 'the CRC-32 of a gzip member does not match its data (RFC 1952 §2.3.1)',
  GZIP_SIZE: 'the length of a gzip member does not match its data (RFC 1952 §2.3.1, ISIZE)',
  GZIP_TRUNCATED: 'the gzip data ends too early',
  GZIP_TRAILING_GARBAGE: 'after the last gzip member there is something that is neither a member nor zero padding',
  DEFLATE_BLOCK_TYPE: 'a deflate block has the reserved type (RFC 1951 §3.2.3)',
  DEFLATE_STORED_LENGTH: 'the two lengths of a stored deflate block disagree (RFC 1951 §3.2.4)',
  DEFLATE_CODE_LENGTHS: 'the code lengths of a deflate block are no Huffman code (RFC 1951 §3.2.7)',
  DEFLATE_SYMBOL: 'a deflate block holds a code that stands for nothing (RFC 1951 §3.2.5)',
  DEFLATE_DISTANCE: 'a deflate match reaches back before the beginning of the data (RFC 1951 §3.2.5)',
  ZSTD_MAGIC: 'this is not a zstd frame: its magic number is wrong (RFC 8878 §3.1.1)',
  ZSTD_FRAME_HEADER: 'a zstd frame header sets its reserved bit (RFC 8878 §3.1.1.1)',
  ZSTD_DICTIONARY: 'a zstd frame needs a dictionary, which layers may not (RFC 8878 §3.1.1.1.3)',
  ZSTD_WINDOW: 'a zstd frame needs a window larger than 128 MiB (RFC 8878 §3.1.1.1.2)',
  ZSTD_BLOCK_TYPE: 'a zstd block has the reserved type (RFC 8878 §3.1.1.2.2)',
  ZSTD_BLOCK_SIZE: 'a zstd block is larger than its frame allows, or a compressed one is empty (RFC 8878 §3.1.1.2.4)',
  ZSTD_LITERALS: 'the literals of a zstd block are corrupt (RFC 8878 §3.1.1.3.1)',
  ZSTD_LITERALS_STREAM: 'a stream of literals of a zstd block does not end where its symbols do (RFC 8878 §4.2.2)',
  ZSTD_HUFFMAN: 'the Huffman code of a zstd block is corrupt or missing (RFC 8878 §4.2)',
  ZSTD_FSE: 'a sequence code of a zstd block is corrupt or missing (RFC 8878 §4.1)',
  ZSTD_SEQUENCES: 'the sequences of a zstd block are corrupt (RFC 8878 §3.1.1.3.2)',
  ZSTD_OFFSET: 'a zstd match reaches back past the window (RFC 8878 §3.1.1.5)',
  ZSTD_CONTENT_SIZE: 'the content of a zstd frame is not as long as its header says (RFC 8878 §3.1.1.1.4)',
  ZSTD_CHECKSUM: 'the checksum of a zstd frame does not match its content (RFC 8878 §3.1.1)',
  ZSTD_TRUNCATED: 'the zstd data ends too early',
  ZSTD_MEMORY: 'there is not enough memory for the window of a zstd frame',
  OUTPUT_LIMIT: 'the data decompresses to more than the limit',
  DECODER_BUSY: 'the output of the last write was not taken to its end',
  DECODER_CLOSED: 'the decoder has ended, failed, or was freed',
  CORE_NOT_BUILT: 'the WebAssembly core is not built: run `npm run build`',
} as const

export type CoreCode = keyof typeof MESSAGES

/** An error of the core: what is wrong with the data, or with how a decoder is used. */
export class CoreError extends Error {
  override readonly name = 'CoreError'
  readonly code: CoreCode
  readonly detail: string | undefined

  constructor(code: CoreCode, options: { cause?: unknown; detail?: string | undefined } = {}) {
    const message = options.detail === undefined ? MESSAGES[code] : `${MESSAGES[code]}: ${options.detail}`
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.detail = options.detail
  }
}

const BY_STATUS = new Map<number, CoreCode>()
for (const [name, value] of Object.entries(status)) if (name in MESSAGES) BY_STATUS.set(value, name as CoreCode)

/** The error for an answer of a step (assembly/status.ts). */
export function errorOf(answer: number): CoreError {
  const code = BY_STATUS.get(answer)
  if (code === undefined) throw new RangeError(`the core answered ${answer}, which stands for nothing`)
  return new CoreError(code)
}
