// Where everything lies in the one linear memory. One instance serves one stream, so every address is a constant, which
// lets the compiler fold it into the load or store. Static data (the few constant tables) lies from 0x8000 (asconfig.json's
// memoryBase) to 0x10000.

/**
 * Decoding tables of the deflate decoder: primary table first, second-level tables after it. Distances have 8-byte entries.
 * The table that is looked up for every symbol stands at address 0: an address of a register alone takes a cycle less than one with
 * a constant, of 8 cycles that a literal takes.
 */
export const LITLEN_TABLE: usize = 0
export const LITLEN_TABLE_BYTES: usize = 0x2c00
/** The same of zstd: the table of the literals' Huffman code. */
export const HUFFMAN_TABLE: usize = 0
export const DISTANCE_TABLE: usize = 0x10000
export const DISTANCE_TABLE_BYTES: usize = 0x2000
export const PRECODE_TABLE: usize = DISTANCE_TABLE + DISTANCE_TABLE_BYTES
export const CODE_LENGTHS: usize = PRECODE_TABLE + 0x400
export const SORTED_SYMBOLS: usize = CODE_LENGTHS + 0x400
export const LITLEN_TEMPLATES: usize = SORTED_SYMBOLS + 0x400
export const DISTANCE_TEMPLATES: usize = LITLEN_TEMPLATES + 0x480
export const SWIZZLES: usize = DISTANCE_TEMPLATES + 0x100
export const PERIODS: usize = SWIZZLES + 0x100

/** CRC-32: eight tables of 256 words, and the scratch of the folding. */
export const CRC_TABLES: usize = 0x18000
export const CRC_SCRATCH: usize = CRC_TABLES + 0x2000

/**
 * zstd: decoding tables of Huffman weights and of the three sequence codes, with entries of 16 bytes, where an address takes 16
 * bits.
 */
export const WEIGHTS_FSE: usize = LITLEN_TABLE + LITLEN_TABLE_BYTES
export const LENGTH_FSE: usize = WEIGHTS_FSE + 0x400
export const MATCH_FSE: usize = LENGTH_FSE + 0x2000
export const OFFSET_FSE: usize = MATCH_FSE + 0x2000

/** Huffman weights, the sequence codes' predefined tables, and what tables are made of. */
export const HUFFMAN_WEIGHTS: usize = 0x20000
export const LENGTH_FSE_DEFAULT: usize = HUFFMAN_WEIGHTS + 0x400
export const OFFSET_FSE_DEFAULT: usize = LENGTH_FSE_DEFAULT + 0x400
export const MATCH_FSE_DEFAULT: usize = OFFSET_FSE_DEFAULT + 0x200
export const FSE_COUNTS: usize = MATCH_FSE_DEFAULT + 0x400
export const FSE_NEXT: usize = FSE_COUNTS + 0x200
export const FSE_SYMBOLS: usize = FSE_NEXT + 0x200
export const SEQUENCE_BASES: usize = FSE_SYMBOLS + 0x400
/** The second and third last offset, and the fields of a sequence too wide for one word. */
export const REPEATS: usize = SEQUENCE_BASES + 0x800
export const WIDE: usize = REPEATS + 0x40
export const XXH_TAIL: usize = WIDE + 0x40

/** SHA-256: chaining value in and out, two message schedules (at multiples of 0x400), and the four lanes' states and messages. */
export const SHA_STATE: usize = 0x30000
export const SHA_SCHEDULE: usize = SHA_STATE + 0x400
export const LANE_STATE: usize = SHA_SCHEDULE + 0x1000
export const LANE_MESSAGES: usize = LANE_STATE + 0x100

/**
 * Compressed input, or text or bytes to hash. Loads may pass its end by up to INPUT_SLACK bytes; the byte before it belongs to
 * it too (inflate puts the rest of a byte back there).
 */
export const INPUT: usize = 0x40000
export const INPUT_BYTES: usize = 0x80000
export const INPUT_SLACK: usize = 0x100

/** Literals of one zstd block (at most 128 KiB); lengths of a batch of diff IDs. */
export const LITERALS: usize = INPUT + INPUT_BYTES + INPUT_SLACK
export const LITERALS_BYTES: usize = 0x20000

/** Output, and with it the history that matches copy from. The last region: zstd grows it to the frame's window. */
export const WINDOW: usize = LITERALS + LITERALS_BYTES + 0x100
