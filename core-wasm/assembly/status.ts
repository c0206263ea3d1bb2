// What a step answers, for the core and for its callers: this file is AssemblyScript and TypeScript alike.

/** More input is needed before anything else can be done. */
export const NEED_INPUT = 0
/** There is output to take. */
export const OUTPUT = 1
/** The input has ended where it may end. */
export const DONE = 2
/** Internal: go on with the next state. */
export const CONTINUE = 3

export const GZIP_MAGIC = 16
export const GZIP_METHOD = 17
export const GZIP_FLAGS = 18
export const GZIP_HEADER_CRC = 19
export const GZIP_CRC = 20
export const GZIP_SIZE = 21
export const GZIP_TRUNCATED = 22
export const GZIP_TRAILING_GARBAGE = 23
export const DEFLATE_BLOCK_TYPE = 24
export const DEFLATE_STORED_LENGTH = 25
export const DEFLATE_CODE_LENGTHS = 26
export const DEFLATE_SYMBOL = 27
export const DEFLATE_DISTANCE = 28

export const ZSTD_MAGIC = 40
export const ZSTD_FRAME_HEADER = 41
export const ZSTD_DICTIONARY = 42
export const ZSTD_WINDOW = 43
export const ZSTD_BLOCK_TYPE = 44
export const ZSTD_BLOCK_SIZE = 45
export const ZSTD_LITERALS = 46
export const ZSTD_HUFFMAN = 47
export const ZSTD_FSE = 48
export const ZSTD_SEQUENCES = 49
export const ZSTD_OFFSET = 50
export const ZSTD_CONTENT_SIZE = 51
export const ZSTD_CHECKSUM = 52
export const ZSTD_TRUNCATED = 53
export const ZSTD_MEMORY = 54
export const ZSTD_LITERALS_STREAM = 55
