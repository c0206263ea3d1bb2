// Inflate (RFC 1951) into a window that slides, 256 KB or more: history and output in one buffer, so a match is one copy.
import {
  CODE_LENGTHS, DISTANCE_TABLE, DISTANCE_TEMPLATES, LITLEN_TABLE, LITLEN_TEMPLATES, PRECODE_TABLE, WINDOW,
} from './layout'
import { END_OF_BLOCK, EXCEPTION, LITERAL, SECOND_LEVEL, buildTable } from './huffman-table'
import { copyMatch, prepareMatches } from './match'
import { inputEnd, inputEnded, inputPosition, keptViews, setInputPosition } from './stream'
import {
  CONTINUE, DEFLATE_BLOCK_TYPE, DEFLATE_CODE_LENGTHS, DEFLATE_DISTANCE, DEFLATE_STORED_LENGTH, DEFLATE_SYMBOL, DONE,
  GZIP_TRUNCATED, NEED_INPUT, OUTPUT,
} from './status'

const LITLEN_BITS: u32 = 11
const DISTANCE_BITS: u32 = 8
const PRECODE_BITS: u32 = 7
/** The sizes of the entries, as powers of two. */
const LITLEN_SCALE: u32 = 2
const DISTANCE_SCALE: u32 = 3
const LITLEN_MASK: u32 = ((1 << LITLEN_BITS) - 1) << LITLEN_SCALE
const DISTANCE_MASK: u32 = ((1 << DISTANCE_BITS) - 1) << DISTANCE_SCALE
const HISTORY: usize = 0x8000
/**
 * What a step gives, of a window that is slid after each; and what it gives where views are kept, of a window with room for
 * them. What is left of the buffer takes the longest match and what vectors write past it.
 */
const STEP: usize = 0x40000
const KEPT_STEP: usize = 0x20000
/**
 * While more input may come, nothing is decoded unless this much is there: more than any block header (at most 290
 * bytes), so no header and no symbol is ever met half. What is held back comes with the end.
 */
const HELD_BACK: usize = 512
/** The fast loop takes at most 6 bytes in one turn, and loads words of 8. */
const FAST_INPUT: usize = 32

const BLOCK_HEADER = 0
const STORED = 1
const CODES = 2

let state: i32 = BLOCK_HEADER
let lastBlock: bool = false
let stored: usize = 0
/** Between steps fewer than 8 bits, the rest of a byte: what lies before inputPosition may be overwritten. */
let bitBuffer: u64 = 0
let bitCount: u32 = 0
let tablesAreFixed: bool = false
let prepared: bool = false

/** Where the next byte of output goes. */
export let output: usize = WINDOW
/** How far back matches may reach. */
let historyStart: usize = WINDOW
/** Where the present step stops. */
let stepEnd: usize = WINDOW

// ---- set-up

const PRECODE_ORDER: usize = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])

/** Extra bits begin after the consumed bits and the code; what a length and a distance consume changes the scale. */
const LENGTH_TEMPLATE: u32 = (LITLEN_SCALE << 8) + LITLEN_SCALE - DISTANCE_SCALE
const FAR_TEMPLATE: u32 = (DISTANCE_SCALE << 8) + DISTANCE_SCALE - LITLEN_SCALE

/** Templates of every symbol (huffman-table.ts). */
function prepare(): void {
  for (let i: u32 = 0; i < 256; i++) store<u32>(LITLEN_TEMPLATES + (<usize>i << 2), LITERAL | (i << 16))
  store<u32>(LITLEN_TEMPLATES + (256 << 2), EXCEPTION | END_OF_BLOCK)
  let base: u32 = 3
  for (let i: u32 = 0; i < 28; i++) {
    const extra: u32 = i < 8 ? 0 : (i >> 2) - 1
    const mask: u32 = (1 << extra) - 1
    store<u32>(LITLEN_TEMPLATES + (<usize>(257 + i) << 2), (mask << 25) + (base << 16) + LENGTH_TEMPLATE + extra)
    base += 1 << extra
  }
  store<u32>(LITLEN_TEMPLATES + (285 << 2), (258 << 16) + LENGTH_TEMPLATE)
  store<u32>(LITLEN_TEMPLATES + (286 << 2), EXCEPTION)
  store<u32>(LITLEN_TEMPLATES + (287 << 2), EXCEPTION)
  base = 1
  for (let i: u32 = 0; i < 30; i++) {
    const extra: u32 = i < 4 ? 0 : (i >> 1) - 1
    const mask: u64 = (1 << extra) - 1
    store<u64>(DISTANCE_TEMPLATES + (<usize>i << 3), (mask << 48) + (<u64>base << 32) + FAR_TEMPLATE + extra)
    base += 1 << extra
  }
  store<u64>(DISTANCE_TEMPLATES + (30 << 3), EXCEPTION)
  store<u64>(DISTANCE_TEMPLATES + (31 << 3), EXCEPTION)
  prepareMatches()
  prepared = true
}

export function inflateReset(): void {
  if (!prepared) prepare()
  // A zstd stream may have used the memory meanwhile.
  tablesAreFixed = false
  output = WINDOW
  inflateNext()
}

/** Begins another deflate stream: its matches do not reach into the one before. */
export function inflateNext(): void {
  state = BLOCK_HEADER
  lastBlock = false
  bitBuffer = 0
  bitCount = 0
  historyStart = output
}

/** Keeps the last 32 KB and makes room after it. */
function slideWindow(): void {
  const shift = output - HISTORY - WINDOW
  memory.copy(WINDOW, WINDOW + shift, HISTORY)
  output -= shift
  historyStart = historyStart > WINDOW + shift ? historyStart - shift : WINDOW
}

/** Makes room for a step. What was handed out as views and is not kept is gone after this. */
export function nextStep(): void {
  // One more than the kept and the new: the new one's last match may reach a little past its end.
  const full = WINDOW + (keptViews ? HISTORY + (keptViews + 2) * KEPT_STEP : STEP)
  if (output >= full) slideWindow()
  stepEnd = keptViews ? min(output + KEPT_STEP, full) : full
}

// ---- bits, with care: byte by byte, never past the end of the input

function refill(): void {
  let position = inputPosition
  while (bitCount < 56 && position < inputEnd) {
    bitBuffer |= <u64>load<u8>(position) << bitCount
    bitCount += 8
    position++
  }
  setInputPosition(position)
}

// @ts-ignore: decorator
@inline
function peek(bits: u32): u32 {
  return <u32>bitBuffer & ((1 << bits) - 1)
}

// @ts-ignore: decorator
@inline
function drop(bits: u32): void {
  bitBuffer >>= bits
  bitCount -= bits
}

/** Gives whole bytes back to the input, and drops `bits & 7` bits if `toByte`. */
function giveBack(toByte: bool): void {
  setInputPosition(inputPosition - (bitCount >> 3))
  bitCount = toByte ? 0 : bitCount & 7
  bitBuffer &= (<u64>1 << bitCount) - 1
}

// ---- blocks

/**
 * Decodes until the step is full (OUTPUT), more input is needed (NEED_INPUT), the stream's last block ends (DONE, the
 * input then stands at the byte after it), or something is wrong (its code).
 */
export function inflate(): i32 {
  while (true) {
    if (output >= stepEnd) return OUTPUT
    if (!inputEnded && inputEnd - inputPosition < HELD_BACK) return NEED_INPUT
    let result: i32
    if (state == BLOCK_HEADER) {
      if (lastBlock) {
        giveBack(true)
        return DONE
      }
      result = blockHeader()
      if (result == CONTINUE) giveBack(false)
    } else if (state == STORED) {
      result = copyStored()
    } else {
      result = fastCodes()
      if (result == CONTINUE && state == CODES && inputEnded && output < stepEnd) result = carefulCodes()
    }
    if (result != CONTINUE) return result
  }
}

function blockHeader(): i32 {
  refill()
  if (bitCount < 3) return GZIP_TRUNCATED
  lastBlock = <bool>peek(1)
  const type = peek(3) >> 1
  drop(3)
  if (type == 0) {
    giveBack(true)
    if (inputEnd - inputPosition < 4) return GZIP_TRUNCATED
    const length = load<u32>(inputPosition)
    if ((length & 0xffff) != (~length >> 16)) return DEFLATE_STORED_LENGTH
    setInputPosition(inputPosition + 4)
    stored = length & 0xffff
    state = STORED
    return CONTINUE
  }
  if (type == 3) return DEFLATE_BLOCK_TYPE
  state = CODES
  if (type == 1) {
    if (!tablesAreFixed) fixedTables()
    return CONTINUE
  }
  tablesAreFixed = false
  return dynamicTables()
}

function copyStored(): i32 {
  const there = inputEnd - inputPosition
  const length = min(min(there, stored), stepEnd - output)
  memory.copy(output, inputPosition, length)
  output += length
  stored -= length
  setInputPosition(inputPosition + length)
  if (!stored) state = BLOCK_HEADER
  else if (length == there) return inputEnded ? GZIP_TRUNCATED : NEED_INPUT
  return CONTINUE
}

function fixedTables(): void {
  memory.fill(CODE_LENGTHS, 8, 144)
  memory.fill(CODE_LENGTHS + 144, 9, 112)
  memory.fill(CODE_LENGTHS + 256, 7, 24)
  memory.fill(CODE_LENGTHS + 280, 8, 8)
  buildTable<u32>(CODE_LENGTHS, 288, LITLEN_TEMPLATES, LITLEN_TABLE, LITLEN_BITS, false)
  memory.fill(CODE_LENGTHS, 5, 32)
  buildTable<u64>(CODE_LENGTHS, 32, DISTANCE_TEMPLATES, DISTANCE_TABLE, DISTANCE_BITS, false)
  tablesAreFixed = true
}

function dynamicTables(): i32 {
  refill()
  if (bitCount < 14) return GZIP_TRUNCATED
  const litlens = peek(5) + 257
  drop(5)
  const distances = peek(5) + 1
  drop(5)
  const precodes: usize = peek(4) + 4
  drop(4)
  if (litlens > 286 || distances > 30) return DEFLATE_CODE_LENGTHS

  memory.fill(CODE_LENGTHS, 0, 19)
  for (let i: usize = 0; i < precodes; i++) {
    if (bitCount < 3) refill()
    if (bitCount < 3) return GZIP_TRUNCATED
    store<u8>(CODE_LENGTHS + load<u8>(PRECODE_ORDER + i), <u8>peek(3))
    drop(3)
  }
  // The templates of the first 19 literals serve here: an entry's value is its symbol.
  if (!buildTable<u32>(CODE_LENGTHS, 19, LITLEN_TEMPLATES, PRECODE_TABLE, PRECODE_BITS, false)) return DEFLATE_CODE_LENGTHS

  const count: usize = litlens + distances
  let at: usize = 0
  while (at < count) {
    if (bitCount < 14) refill()
    const entry = load<u32>(PRECODE_TABLE + (<usize>peek(PRECODE_BITS) << 2))
    const symbol = (entry >> 16) & 31
    const bits = entry & 63
    const extra: u32 = symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7
    if (bits + extra > bitCount) return GZIP_TRUNCATED
    drop(bits)
    if (symbol < 16) {
      store<u8>(CODE_LENGTHS + at, <u8>symbol)
      at++
      continue
    }
    const times: usize = peek(extra) + (symbol == 18 ? 11 : 3)
    drop(extra)
    if (at + times > count || (symbol == 16 && !at)) return DEFLATE_CODE_LENGTHS
    memory.fill(CODE_LENGTHS + at, symbol == 16 ? load<u8>(CODE_LENGTHS + at - 1) : 0, times)
    at += times
  }
  // Without an end of block the block could not end.
  if (!load<u8>(CODE_LENGTHS, 256)) return DEFLATE_CODE_LENGTHS
  if (!buildTable<u32>(CODE_LENGTHS, litlens, LITLEN_TEMPLATES, LITLEN_TABLE, LITLEN_BITS, true)) return DEFLATE_CODE_LENGTHS
  if (!buildTable<u64>(CODE_LENGTHS + litlens, distances, DISTANCE_TEMPLATES, DISTANCE_TABLE, DISTANCE_BITS, true)) {
    return DEFLATE_CODE_LENGTHS
  }
  return CONTINUE
}

// ---- symbols

// Tables are looked up with a buffer whose lowest bits have been consumed already, as many as an entry's size takes: what a
// mask leaves of it is the offset of the entry. Two bits for the litlen table, three for that of distances; an entry for a
// length consumes one bit less for that, and one for a distance one more (1 of about 9 cycles a literal).

/** The first-level entry for a buffer with LITLEN_SCALE consumed bits. */
// @ts-ignore: decorator
@inline
function litlenEntry(bits: u64): u32 {
  return load<u32>(<usize>(<u32>bits & LITLEN_MASK), LITLEN_TABLE)
}

/** The first-level entry for a buffer with DISTANCE_SCALE consumed bits. */
// @ts-ignore: decorator
@inline
function distanceEntry(bits: u64): u64 {
  return load<u64>(<usize>(<u32>bits & DISTANCE_MASK), DISTANCE_TABLE)
}

/** Where in its table the second-level entry is that `entry` points to; `bits` are those after the first level's. */
// @ts-ignore: decorator
@inline
function secondLevel(entry: u32, bits: u64, scale: u32): usize {
  const mask: u32 = (1 << ((entry >> 8) & 31)) - 1
  return ((entry >> 16) << scale) + (<u32>bits & (mask << scale))
}

// @ts-ignore: decorator
@inline
function secondLitlenEntry(entry: u32, bits: u64): u32 {
  return load<u32>(secondLevel(entry, bits, LITLEN_SCALE), LITLEN_TABLE)
}

// @ts-ignore: decorator
@inline
function secondDistanceEntry(entry: u32, bits: u64): u64 {
  return load<u64>(secondLevel(entry, bits, DISTANCE_SCALE), DISTANCE_TABLE)
}

/** The length that an entry and the buffer from its code on stand for. */
// @ts-ignore: decorator
@inline
function lengthOf(entry: u32, bits: u64): usize {
  return ((entry >> 16) & 511) + (<u32>(bits >> ((entry >> 8) & 63)) & (entry >> 25))
}

// @ts-ignore: decorator
@inline
function distanceOf(entry: u64, bits: u64): usize {
  return <u32>(entry >> 32 & 0xffff) + (<u32>(bits >> ((<u32>entry >> 8) & 63)) & <u32>(entry >> 48))
}

/**
 * The bits from bit `position` of memory on: at least 57. One load and one shift, and they are done while the present entry is
 * still on its way, so each symbol has a full buffer and nobody counts bits.
 */
// @ts-ignore: decorator
@inline
function bitsAt(position: usize): u64 {
  return load<u64>(position >> 3) >> (position & 7)
}

/**
 * The loop that nearly all time is spent in; a turn is a literal or a match. It runs while a turn can neither pass the end of
 * the input nor that of the window, so it checks neither.
 *
 * Whether a literal or a length comes is a branch that no processor guesses well: about one wrong guess a match, a third of
 * the time. So both entries that may follow, of the next literal and of the distance, are loaded before that branch: the one
 * that is needed is then there as soon as the right path begins (a quarter of the guess's cost; 11-16 % in all).
 * At least 55 bits are there in a turn: a length takes 20, a first-level distance 21, and the next lookup 11.
 * The count is shifted by before it is added: the other way about, V8 masks it twice, on the critical path (5-10 %).
 */
function fastCodes(): i32 {
  const full = stepEnd
  if (inputEnd - inputPosition < FAST_INPUT || output >= full) return CONTINUE
  const stop = (inputEnd - FAST_INPUT) << 3
  const start = historyStart
  let out = output
  let result: i32 = CONTINUE

  // Where in memory the buffer begins, in bits. The byte that was begun may have gone when the input moved to the front.
  if (bitCount) store<u8>(inputPosition - 1, <u8>(bitBuffer << (8 - bitCount)))
  let at: usize = (inputPosition << 3) - bitCount - LITLEN_SCALE
  let bits = bitsAt(at)
  let entry = litlenEntry(bits)
  let n: u32
  let before: u64
  let next: u32
  let far: u64

  do {
    before = bitsAt(at)
    n = entry & 63
    bits = before >> n
    at += n
    next = litlenEntry(bits)
    far = distanceEntry(bits)
    if (<i32>entry < 0) {
      store<u8>(out, entry >> 16)
      out++
      entry = next
      continue
    }
    if (entry & EXCEPTION) {
      if (entry & SECOND_LEVEL) {
        before = bits
        entry = secondLitlenEntry(entry, bits)
        n = entry & 63
        bits >>= n
        at += n
        if (<i32>entry < 0) {
          store<u8>(out, entry >> 16)
          out++
          entry = litlenEntry(bits)
          continue
        }
        far = distanceEntry(bits)
      }
      if (entry & EXCEPTION) {
        if (entry & END_OF_BLOCK) state = BLOCK_HEADER
        else result = DEFLATE_SYMBOL
        break
      }
    }
    const length = lengthOf(entry, before)
    if (<u32>far & EXCEPTION) {
      if (<u32>far & SECOND_LEVEL) {
        at += DISTANCE_BITS
        bits = bitsAt(at)
        far = secondDistanceEntry(<u32>far, bits)
      }
      if (<u32>far & EXCEPTION) {
        result = DEFLATE_SYMBOL
        break
      }
    }
    const distance = distanceOf(far, bits)
    n = <u32>far & 63
    bits >>= n
    at += n
    if (distance > out - start) {
      result = DEFLATE_DISTANCE
      break
    }
    // The next entry is loaded before the match is copied: the copy does not wait for it, nor it for the copy.
    entry = litlenEntry(bits)
    copyMatch(out, out - distance, distance, length)
    out += length
  } while (at <= stop && out < full)

  output = out
  at += LITLEN_SCALE
  bitCount = -<u32>at & 7
  bitBuffer = bitCount ? <u64>load<u8>(at >> 3) >> (at & 7) : 0
  setInputPosition((at + 7) >> 3)
  return result
}

/** The same, symbol by symbol, for the last bytes of the input: each symbol's bits are checked to be there. */
function carefulCodes(): i32 {
  while (output < stepEnd) {
    refill()
    let entry = litlenEntry(bitBuffer << LITLEN_SCALE)
    if (<i32>entry >= 0 && entry & SECOND_LEVEL) {
      if (bitCount < LITLEN_BITS) return GZIP_TRUNCATED
      drop(LITLEN_BITS)
      entry = secondLitlenEntry(entry, bitBuffer << LITLEN_SCALE)
    }
    // See the scales: a length's entry says one bit less, a distance's one more.
    const taken = (entry & 63) + (entry & (LITERAL | EXCEPTION) ? 0 : DISTANCE_SCALE - LITLEN_SCALE)
    if (taken > bitCount) return GZIP_TRUNCATED
    const length = lengthOf(entry, bitBuffer << LITLEN_SCALE)
    drop(taken)
    if (<i32>entry < 0) {
      store<u8>(output, entry >> 16)
      output++
      continue
    }
    if (entry & EXCEPTION) {
      if (!(entry & END_OF_BLOCK)) return DEFLATE_SYMBOL
      state = BLOCK_HEADER
      return CONTINUE
    }

    refill()
    let far = distanceEntry(bitBuffer << DISTANCE_SCALE)
    if (<u32>far & SECOND_LEVEL) {
      if (bitCount < DISTANCE_BITS) return GZIP_TRUNCATED
      drop(DISTANCE_BITS)
      far = secondDistanceEntry(<u32>far, bitBuffer << DISTANCE_SCALE)
    }
    const farTaken = (<u32>far & 63) - (<u32>far & EXCEPTION ? 0 : DISTANCE_SCALE - LITLEN_SCALE)
    if (farTaken > bitCount) return GZIP_TRUNCATED
    const distance = distanceOf(far, bitBuffer << DISTANCE_SCALE)
    drop(farTaken)
    if (<u32>far & EXCEPTION) return DEFLATE_SYMBOL
    if (distance > output - historyStart) return DEFLATE_DISTANCE
    copyMatch(output, output - distance, distance, length)
    output += length
  }
  return CONTINUE
}
