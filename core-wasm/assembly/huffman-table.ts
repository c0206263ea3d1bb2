// Building the lookup tables of deflate's Huffman codes (RFC 1951 §3.2.2).
import { SORTED_SYMBOLS } from './layout'

// An entry says all that decoding needs:
//   bits 0-5   bits to consume: the code's (in this table) and the extra bits after it; one less for a length and one more
//              for a distance (see the scales in inflate.ts)
//   bits 8-12  where the extra bits begin in the scaled buffer: the code's bits and the scale
//   bit 13     end of block, bit 14 a second-level table, bit 15 one of these or an unused code
//   bits 16-24 the literal or the length's base; bits 16-30 the index of a second-level table, whose bits are in 8-12
//   bits 25-29 a mask of the length's extra bits
//   bit 31     a literal
// Distances have entries of 64 bits: their base stands in bits 32-47, the mask of their extra bits in 48-63. A mask that is
// there costs less than one that is made, for V8 masks the count of each variable shift and moves it to a register first.
// Symbols come as templates: an entry without the code's bits.
export const LITERAL: u32 = 0x80000000
export const EXCEPTION: u32 = 0x8000
export const SECOND_LEVEL: u32 = 0x4000
export const END_OF_BLOCK: u32 = 0x2000
const UNUSED: u32 = EXCEPTION | 1

const counts: usize = memory.data(64)
const offsets: usize = memory.data(64)

// @ts-ignore: decorator
@inline
function put<T>(table: usize, index: u32, entry: T): void {
  store<T>(table + <usize>index * sizeof<T>(), entry)
}

// @ts-ignore: decorator
@inline
function template<T>(templates: usize, at: usize): T {
  return load<T>(templates + <usize>load<u16>(at) * sizeof<T>())
}

/** The next code of `bits` bits, where codes stand with their first bit lowest (as they lie in the stream). */
// @ts-ignore: decorator
@inline
function nextCode(code: u32, bits: u32): u32 {
  const bit: u32 = 0x80000000 >> clz(code ^ ((1 << bits) - 1))
  return (code & (bit - 1)) | bit
}

/**
 * Builds a table of `tableBits` bits, with second-level tables behind it, from `count` code lengths of one byte each.
 * `mayBeIncomplete` allows what zlib allows for literals and distances: no code at all, or one code of one bit.
 * Answers false when the lengths are no code.
 */
export function buildTable<T>(lengths: usize, count: u32, templates: usize, table: usize, tableBits: u32, mayBeIncomplete: bool): bool {
  memory.fill(counts, 0, 64)
  for (let i: usize = 0; i < count; i++) {
    const slot = counts + (<usize>load<u8>(lengths + i) << 2)
    store<u32>(slot, load<u32>(slot) + 1)
  }

  let space: i32 = 1
  let longest: u32 = 0
  let used: u32 = 0
  for (let bits: u32 = 1; bits <= 15; bits++) {
    const n = load<u32>(counts + (<usize>bits << 2))
    space = (space << 1) - <i32>n
    if (space < 0) return false
    store<u32>(offsets + (<usize>bits << 2), used)
    used += n
    if (n) longest = bits
  }

  for (let i: u32 = 0; i < count; i++) {
    const bits: usize = load<u8>(lengths + i)
    if (bits) {
      const slot = offsets + (bits << 2)
      const at = load<u32>(slot)
      store<u32>(slot, at + 1)
      store<u16>(SORTED_SYMBOLS + (<usize>at << 1), <u16>i)
    }
  }

  if (space > 0) {
    if (!mayBeIncomplete || longest > 1) return false
    for (let i: u32 = 0; i < 1 << tableBits; i++) {
      const known = used && !(i & 1)
      put<T>(table, i, known ? template<T>(templates, SORTED_SYMBOLS) + <T>257 : <T>UNUSED)
    }
    return true
  }

  fillTable<T>(templates, table, tableBits, used)
  return true
}

/**
 * Fills the table of a complete code. Codes come in increasing length; whenever the length grows, the part filled so far
 * is doubled, so that each code is written once and copied, not written with a stride.
 */
function fillTable<T>(templates: usize, table: usize, tableBits: u32, used: u32): void {
  let symbol = SORTED_SYMBOLS
  const end = SORTED_SYMBOLS + (<usize>used << 1)
  let code: u32 = 0
  let bits: u32 = 1
  let left = load<u32>(counts, 4)
  let filled: u32 = 2

  while (symbol < end) {
    while (!left) {
      if (bits == tableBits) {
        fillSecondLevel<T>(templates, table, tableBits, symbol, end, code)
        return
      }
      memory.copy(table + <usize>filled * sizeof<T>(), table, <usize>filled * sizeof<T>())
      filled <<= 1
      bits++
      left = load<u32>(counts + (<usize>bits << 2))
    }
    put<T>(table, code, template<T>(templates, symbol) + <T>(bits * 257))
    symbol += 2
    left--
    if (code == (1 << bits) - 1) break
    code = nextCode(code, bits)
  }
  while (filled < 1 << tableBits) {
    memory.copy(table + <usize>filled * sizeof<T>(), table, <usize>filled * sizeof<T>())
    filled <<= 1
  }
}

function fillSecondLevel<T>(templates: usize, table: usize, tableBits: u32, symbol: usize, end: usize, code: u32): void {
  const mask: u32 = (1 << tableBits) - 1
  let next: u32 = 1 << tableBits
  let start: u32 = 0
  let startBits: u32 = 0
  let prefix: u32 = 0xffffffff
  let bits = tableBits
  let left: u32 = 0

  while (symbol < end) {
    while (!left) left = load<u32>(counts + (<usize>++bits << 2))
    if ((code & mask) != prefix) {
      prefix = code & mask
      start = next
      startBits = bits - tableBits
      // As wide as the codes with this prefix need: widen until they fill the table.
      let room: u32 = left
      while (room < 1 << startBits) {
        startBits++
        room = (room << 1) + load<u32>(counts + (<usize>(tableBits + startBits) << 2))
      }
      next += 1 << startBits
      put<T>(table, prefix, <T>((start << 16) | EXCEPTION | SECOND_LEVEL | (startBits << 8) | tableBits))
    }
    const entry = template<T>(templates, symbol) + <T>((bits - tableBits) * 257)
    const stride: u32 = 1 << (bits - tableBits)
    for (let i = code >> tableBits; i < 1 << startBits; i += stride) put<T>(table, start + i, entry)
    symbol += 2
    left--
    if (code == (1 << bits) - 1) return
    code = nextCode(code, bits)
  }
}
