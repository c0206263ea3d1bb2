// The Huffman code of literals (RFC 8878 §4.2): its description, its table, and streams in it.
import { HUFFMAN_TABLE, HUFFMAN_WEIGHTS, WEIGHTS_FSE } from '../layout'
import { CONTINUE, ZSTD_LITERALS, ZSTD_LITERALS_STREAM } from '../status'
import { STATE_SHIFT, accuracy, baseValue, buildFSE, nextState, readDistribution, stateBits, storeTemplate } from './fse'
import { first, streamBits, window } from './bits'

/** The longest code. The table is always this wide, so that the shift to an index is a constant. */
const TABLE_BITS: u32 = 11

const SYMBOL_TEMPLATES: usize = memory.data(16 << STATE_SHIFT)

/** Reads a code's description and builds its table. Answers where it ends, or 0 when it is none. */
export function readHuffman(from: usize, to: usize): usize {
  if (from >= to) return 0
  const header: usize = load<u8>(from)
  from++
  let count: u32
  let end: usize
  if (header >= 128) {
    count = <u32>header - 127
    end = from + ((count + 1) >> 1)
    if (end > to) return 0
    for (let i: usize = 0; i < count; i++) {
      const pair = load<u8>(from + (i >> 1))
      store<u8>(HUFFMAN_WEIGHTS + i, i & 1 ? pair & 15 : pair >> 4)
    }
  } else {
    end = from + header
    if (end > to) return 0
    count = compressedWeights(from, end)
  }
  return count && buildTable(count) ? end : 0
}

/** Weights coded by FSE, with two states in turn. Answers their count, or 0 when something is wrong. */
function compressedWeights(from: usize, to: usize): u32 {
  const start = readDistribution(from, to, 12, 6)
  if (!start) return 0
  for (let i: u32 = 0; i < 13; i++) storeTemplate(SYMBOL_TEMPLATES + (<usize>i << STATE_SHIFT), i, 0)
  buildFSE(WEIGHTS_FSE, WEIGHTS_FSE, SYMBOL_TEMPLATES)
  let bits = streamBits(start, to) - 2 * <i32>accuracy
  if (bits < 0) return 0
  let one = WEIGHTS_FSE + (<usize>first(window(start, bits + 2 * <i32>accuracy), accuracy) << STATE_SHIFT)
  let two = WEIGHTS_FSE + (<usize>first(window(start, bits + <i32>accuracy), accuracy) << STATE_SHIFT)
  let count: usize = 0
  // The end is where the next state would take more bits than there are; the other state still holds a weight.
  while (count < 254) {
    store<u8>(HUFFMAN_WEIGHTS + count, <u8>baseValue(one))
    count++
    const width = stateBits(one)
    if (width > bits) {
      store<u8>(HUFFMAN_WEIGHTS + count, <u8>baseValue(two))
      return <u32>count + 1
    }
    const state = nextState(one, first(window(start, bits), width) << STATE_SHIFT)
    bits -= width
    one = two
    two = state
  }
  return 0
}

/** Builds the table from `count` weights; the last symbol's weight is what is missing to a power of two. */
function buildTable(count: u32): bool {
  let total: u32 = 0
  let ones: u32 = 0
  for (let i: usize = 0; i < count; i++) {
    const weight: u32 = load<u8>(HUFFMAN_WEIGHTS + i)
    if (weight > TABLE_BITS) return false
    total += (1 << weight) >> 1
    if (weight == 1) ones++
  }
  if (!total) return false
  const log: u32 = 32 - clz(total)
  if (log > TABLE_BITS) return false
  const rest = (1 << log) - total
  if (rest & (rest - 1)) return false
  const last = 32 - clz(rest)
  store<u8>(HUFFMAN_WEIGHTS + count, <u8>last)
  if (last == 1) ones++
  // A tree has its deepest leaves in pairs.
  if (ones < 2 || ones & 1) return false

  let at = HUFFMAN_TABLE
  for (let weight: u32 = 1; weight <= log; weight++) {
    const bytes: usize = 1 << (weight + TABLE_BITS - log)
    for (let symbol: u32 = 0; symbol <= count; symbol++) {
      if (load<u8>(HUFFMAN_WEIGHTS + symbol) != weight) continue
      const entry = (symbol << 8) | (log + 1 - weight)
      if (bytes < 16) {
        for (const end = at + bytes; at < end; at += 2) store<u16>(at, <u16>entry)
      } else {
        const entries = i16x8.splat(<i16>entry)
        for (const end = at + bytes; at < end; at += 16) v128.store(at, entries)
      }
    }
  }
  return true
}

// @ts-ignore: decorator
@inline
function lookUp(bits: u64): u32 {
  // One shift and a mask: an index that the address scales takes a cycle more.
  return load<u16>(HUFFMAN_TABLE + (<usize>(bits >> (63 - TABLE_BITS)) & 0xffe))
}

/** One stream of `length` literals, which must end just where its symbols do. */
export function decodeStream(from: usize, to: usize, out: usize, length: usize): i32 {
  const bits = streamBits(from, to)
  if (bits < 0) return ZSTD_LITERALS_STREAM
  return finishStream(from, bits, out, out + length) ? CONTINUE : ZSTD_LITERALS_STREAM
}

/** Decodes symbol by symbol, up to the stream's very first bit. */
function finishStream(from: usize, bits: i32, out: usize, end: usize): bool {
  while (out < end) {
    let buffer = window(from, bits)
    // The bits before the stream's start belong to something else.
    if (bits < 64) buffer &= bits ? <u64>-1 << (64 - bits) : 0
    let left = 5
    while (left && out < end) {
      const entry = lookUp(buffer)
      buffer <<= entry
      bits -= entry & 63
      store<u8>(out, entry >> 8)
      out++
      left--
    }
    if (bits < 0) return false
  }
  return bits == 0
}

/**
 * Four streams at once, which keeps four chains of dependent loads in flight. The lowest bit of each buffer is set when
 * it is loaded and so marks, by its place, how much of the buffer has been used: no counts are kept. Five symbols of at
 * most 11 bits, and up to 7 bits of the byte that the load began in, leave that mark in place.
 */
export function decodeFourStreams(from: usize, to: usize, out: usize, length: usize): i32 {
  if (to - from < 10) return ZSTD_LITERALS
  const quarter = (length + 3) >> 2
  if (quarter * 3 > length) return ZSTD_LITERALS
  const start0 = from + 6
  const start1 = start0 + load<u16>(from)
  const start2 = start1 + load<u16>(from, 2)
  const start3 = start2 + load<u16>(from, 4)
  if (start3 >= to) return ZSTD_LITERALS
  const bits0 = streamBits(start0, start1)
  const bits1 = streamBits(start1, start2)
  const bits2 = streamBits(start2, start3)
  const bits3 = streamBits(start3, to)
  if ((bits0 | bits1 | bits2 | bits3) < 0) return ZSTD_LITERALS_STREAM

  let out0 = out
  let out1 = out + quarter
  let out2 = out1 + quarter
  let out3 = out2 + quarter
  const end = out + length
  // Where each buffer was loaded from.
  let in0 = start0 + ((bits0 + 7) >> 3) - 8
  let in1 = start1 + ((bits1 + 7) >> 3) - 8
  let in2 = start2 + ((bits2 + 7) >> 3) - 8
  let in3 = start3 + ((bits3 + 7) >> 3) - 8
  let buffer0 = (load<u64>(in0) | 1) << (<u64>(-bits0) & 7)
  let buffer1 = (load<u64>(in1) | 1) << (<u64>(-bits1) & 7)
  let buffer2 = (load<u64>(in2) | 1) << (<u64>(-bits2) & 7)
  let buffer3 = (load<u64>(in3) | 1) << (<u64>(-bits3) & 7)

  // The last stream is the shortest to write; a turn reads at most 7 bytes of each.
  while (in0 >= start0 + 8 && in1 >= start1 + 8 && in2 >= start2 + 8 && in3 >= start3 + 8 && out3 + 5 <= end) {
    for (let i: usize = 0; i < 5; i++) {
      const entry0 = lookUp(buffer0)
      const entry1 = lookUp(buffer1)
      const entry2 = lookUp(buffer2)
      const entry3 = lookUp(buffer3)
      buffer0 <<= entry0
      buffer1 <<= entry1
      buffer2 <<= entry2
      buffer3 <<= entry3
      store<u8>(out0 + i, entry0 >> 8)
      store<u8>(out1 + i, entry1 >> 8)
      store<u8>(out2 + i, entry2 >> 8)
      store<u8>(out3 + i, entry3 >> 8)
    }
    out0 += 5
    out1 += 5
    out2 += 5
    out3 += 5
    const used0 = ctz(buffer0)
    const used1 = ctz(buffer1)
    const used2 = ctz(buffer2)
    const used3 = ctz(buffer3)
    in0 -= <usize>used0 >> 3
    in1 -= <usize>used1 >> 3
    in2 -= <usize>used2 >> 3
    in3 -= <usize>used3 >> 3
    buffer0 = (load<u64>(in0) | 1) << (used0 & 7)
    buffer1 = (load<u64>(in1) | 1) << (used1 & 7)
    buffer2 = (load<u64>(in2) | 1) << (used2 & 7)
    buffer3 = (load<u64>(in3) | 1) << (used3 & 7)
  }
  const whole =
    finishStream(start0, left(in0, start0, buffer0), out0, out + quarter) &&
    finishStream(start1, left(in1, start1, buffer1), out1, out + quarter * 2) &&
    finishStream(start2, left(in2, start2, buffer2), out2, out + quarter * 3) &&
    finishStream(start3, left(in3, start3, buffer3), out3, end)
  return whole ? CONTINUE : ZSTD_LITERALS_STREAM
}

/** How many bits of a stream are left. */
// @ts-ignore: decorator
@inline
function left(input: usize, start: usize, buffer: u64): i32 {
  return (<i32>(input - start) << 3) + 64 - <i32>ctz(buffer)
}
