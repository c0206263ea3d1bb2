// Sequences (RFC 8878 §3.1.1.3.2): how many literals, then a match of which length at which offset; read and carried out.
import {
  LENGTH_FSE, LENGTH_FSE_DEFAULT, MATCH_FSE, MATCH_FSE_DEFAULT, OFFSET_FSE, OFFSET_FSE_DEFAULT, SEQUENCE_BASES, SWIZZLES,
  WINDOW,
} from '../layout'
import { CONTINUE, ZSTD_FSE, ZSTD_OFFSET, ZSTD_SEQUENCES } from '../status'
import { first, streamBits, window } from './bits'
import { accuracy, buildFSE, readDistribution, setDistribution } from './fse'
import { copyOlder, olderEnd, output, setOutputPosition, windowSize } from './window'

const LENGTH_TEMPLATES: usize = SEQUENCE_BASES
const OFFSET_TEMPLATES: usize = SEQUENCE_BASES + 0x140
const MATCH_TEMPLATES: usize = SEQUENCE_BASES + 0x280

const LENGTH_EXTRA: usize = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
])
const MATCH_EXTRA: usize = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
])
const LENGTH_DEFAULT: usize = memory.data<i8>([
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
])
const OFFSET_DEFAULT: usize = memory.data<i8>([
  1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
])
const MATCH_DEFAULT: usize = memory.data<i8>([
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
])

let prepared: bool = false

// The tables in use, and their accuracies; accuracy -1 when there is none that a later block could repeat.
let lengthTable: usize = 0
let offsetTable: usize = 0
let matchTable: usize = 0
let lengthLog: i32 = -1
let offsetLog: i32 = -1
let matchLog: i32 = -1
let repeat1: u32 = 1
let repeat2: u32 = 4
let repeat3: u32 = 8

function prepare(): void {
  let base: u64 = 0
  for (let i: usize = 0; i < 36; i++) {
    const extra: u64 = load<u8>(LENGTH_EXTRA + i)
    store<u64>(LENGTH_TEMPLATES + (i << 3), (base << 32) | (extra << 16))
    base += 1 << extra
  }
  base = 3
  for (let i: usize = 0; i < 53; i++) {
    const extra: u64 = load<u8>(MATCH_EXTRA + i)
    store<u64>(MATCH_TEMPLATES + (i << 3), (base << 32) | (extra << 16))
    base += 1 << extra
  }
  for (let i: u64 = 0; i < 32; i++) {
    // Values 1 to 3 (codes 0 and 1) are repeats; the others are offsets plus 3.
    const value: u64 = i < 2 ? i : (<u64>1 << i) - 3
    store<u64>(OFFSET_TEMPLATES + (<usize>i << 3), (value << 32) | (i << 16))
  }
  for (let d: u32 = 1; d < 16; d++) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(SWIZZLES + (<usize>d << 4) + i, <u8>(i % d))
  }
  setDistribution(LENGTH_DEFAULT, 36, 6)
  buildFSE(LENGTH_FSE_DEFAULT, LENGTH_TEMPLATES)
  setDistribution(OFFSET_DEFAULT, 29, 5)
  buildFSE(OFFSET_FSE_DEFAULT, OFFSET_TEMPLATES)
  setDistribution(MATCH_DEFAULT, 53, 6)
  buildFSE(MATCH_FSE_DEFAULT, MATCH_TEMPLATES)
  prepared = true
}

/** Begins a frame: nothing to repeat but the three first offsets. */
export function sequencesReset(): void {
  if (!prepared) prepare()
  lengthLog = -1
  offsetLog = -1
  matchLog = -1
  repeat1 = 1
  repeat2 = 4
  repeat3 = 8
}

let log: i32 = 0
let table: usize = 0

/** Reads one code's table as `mode` says, into `log` and `table`. Answers where it ends, or 0 when it is none. */
function readTable(
  from: usize, to: usize, mode: u32, own: usize, standard: usize, standardLog: i32, templates: usize, maxSymbol: u32,
  maxAccuracy: u32,
): usize {
  if (mode == 0) {
    table = standard
    log = standardLog
    return from
  }
  if (mode == 1) {
    if (from >= to || load<u8>(from) > maxSymbol) return 0
    store<u64>(own, load<u64>(templates + (<usize>load<u8>(from) << 3)))
    table = own
    log = 0
    return from + 1
  }
  if (mode == 2) {
    const end = readDistribution(from, to, maxSymbol, maxAccuracy)
    if (!end) return 0
    buildFSE(own, templates)
    table = own
    log = accuracy
    return end
  }
  return log < 0 ? 0 : from
}

/** Decodes a block's sequences section with its literals: the block's whole content, appended to the window. */
export function sequences(from: usize, to: usize, literals: usize, literalsEnd: usize, limit: usize): i32 {
  if (from >= to) return ZSTD_SEQUENCES
  let count: u32 = load<u8>(from)
  from++
  if (count >= 128) {
    if (count == 255) {
      if (to - from < 2) return ZSTD_SEQUENCES
      count = <u32>load<u16>(from) + 0x7f00
      from += 2
    } else {
      if (from >= to) return ZSTD_SEQUENCES
      count = ((count - 128) << 8) + load<u8>(from)
      from++
    }
  }
  if (!count) return from == to ? appendLiterals(literals, literalsEnd, limit) : ZSTD_SEQUENCES

  if (from >= to) return ZSTD_SEQUENCES
  const modes: u32 = load<u8>(from)
  from++
  if (modes & 3) return ZSTD_SEQUENCES
  log = lengthLog
  table = lengthTable
  from = readTable(from, to, modes >> 6, LENGTH_FSE, LENGTH_FSE_DEFAULT, 6, LENGTH_TEMPLATES, 35, 9)
  if (!from) return ZSTD_FSE
  lengthLog = log
  lengthTable = table
  log = offsetLog
  table = offsetTable
  from = readTable(from, to, (modes >> 4) & 3, OFFSET_FSE, OFFSET_FSE_DEFAULT, 5, OFFSET_TEMPLATES, 31, 8)
  if (!from) return ZSTD_FSE
  offsetLog = log
  offsetTable = table
  log = matchLog
  table = matchTable
  from = readTable(from, to, (modes >> 2) & 3, MATCH_FSE, MATCH_FSE_DEFAULT, 6, MATCH_TEMPLATES, 52, 9)
  if (!from) return ZSTD_FSE
  matchLog = log
  matchTable = table

  const bits = streamBits(from, to)
  if (bits < 0) return ZSTD_SEQUENCES
  return run(from, bits, count, literals, literalsEnd, limit)
}

function appendLiterals(literals: usize, literalsEnd: usize, limit: usize): i32 {
  const length = literalsEnd - literals
  if (length > limit - output) return ZSTD_SEQUENCES
  memory.copy(output, literals, length)
  setOutputPosition(output + length)
  return CONTINUE
}

/** Copies literals, 16 bytes at a time: up to 15 bytes past the end, read and written. */
// @ts-ignore: decorator
@inline
function copyLiterals(to: usize, from: usize, length: usize): void {
  v128.store(to, v128.load(from))
  if (length > 16) {
    const end = to + length
    do {
      to += 16
      from += 16
      v128.store(to, v128.load(from))
    } while (to + 16 < end)
  }
}

/** Copies a match, up to 31 bytes past its end. Distances below 16 become a vector holding the pattern. */
// @ts-ignore: decorator
@inline
function copyMatch(to: usize, distance: usize, length: usize): void {
  let from = to - distance
  const end = to + length
  if (distance >= 16) {
    v128.store(to, v128.load(from))
    if (length > 16) {
      do {
        v128.store(to, v128.load(from, 16), 16)
        v128.store(to, v128.load(from, 32), 32)
        to += 32
        from += 32
      } while (to + 16 < end)
    }
  } else {
    const pattern = v128.swizzle(v128.load(from), v128.load(SWIZZLES + (distance << 4)))
    const step: usize = 16 - (<usize>16 % distance)
    do {
      v128.store(to, pattern)
      to += step
    } while (to < end)
  }
}

/** Reads `count` sequences and carries each out at once. */
function run(from: usize, bits: i32, count: u32, literals: usize, literalsEnd: usize, limit: usize): i32 {
  const lengths = lengthTable
  const offsets = offsetTable
  const matches = matchTable
  // What lies before this in memory is the older part of the history, or not ours.
  const start = WINDOW
  let out = output
  let rep1 = repeat1
  let rep2 = repeat2
  let rep3 = repeat3

  let buffer = window(from, bits)
  let lengthState = first(buffer, lengthLog)
  buffer <<= lengthLog
  let offsetState = first(buffer, offsetLog)
  buffer <<= offsetLog
  let matchState = first(buffer, matchLog)
  bits -= lengthLog + offsetLog + matchLog
  if (bits < 0) return ZSTD_SEQUENCES

  while (true) {
    const lengthEntry = load<u64>(lengths + (<usize>lengthState << 3))
    const offsetEntry = load<u64>(offsets + (<usize>offsetState << 3))
    const matchEntry = load<u64>(matches + (<usize>matchState << 3))
    const lengthExtra = (lengthEntry >> 16) & 255
    const offsetExtra = (offsetEntry >> 16) & 255
    const matchExtra = (matchEntry >> 16) & 255

    buffer = window(from, bits)
    let offset = <u32>(offsetEntry >> 32)
    if (offsetExtra > 1) {
      offset += <u32>first(buffer, offsetExtra)
      buffer <<= offsetExtra
      rep3 = rep2
      rep2 = rep1
      rep1 = offset
    } else {
      let which = offset
      if (offsetExtra) {
        which += <u32>(buffer >> 63)
        buffer <<= 1
      }
      if (!(lengthEntry >> 32)) which++
      if (which) {
        offset = which == 1 ? rep2 : which == 2 ? rep3 : rep1 - 1
        if (!offset) return ZSTD_OFFSET
        if (which != 1) rep3 = rep2
        rep2 = rep1
        rep1 = offset
      } else {
        offset = rep1
      }
    }
    bits -= <i32>(offsetExtra + matchExtra + lengthExtra)
    // An offset of 31 bits leaves 26 of the 57: only the longest lengths need more.
    if (matchExtra + lengthExtra > 26) buffer = window(from, bits + <i32>(matchExtra + lengthExtra))
    const matchLength = <usize>(matchEntry >> 32) + <usize>first(buffer, matchExtra)
    buffer <<= matchExtra
    const literalLength = <usize>(lengthEntry >> 32) + <usize>first(buffer, lengthExtra)

    count--
    if (count) {
      buffer = window(from, bits)
      const lengthWidth = (lengthEntry >> 24) & 255
      const matchWidth = (matchEntry >> 24) & 255
      const offsetWidth = (offsetEntry >> 24) & 255
      lengthState = (lengthEntry & 0xffff) + first(buffer, lengthWidth)
      buffer <<= lengthWidth
      matchState = (matchEntry & 0xffff) + first(buffer, matchWidth)
      buffer <<= matchWidth
      offsetState = (offsetEntry & 0xffff) + first(buffer, offsetWidth)
      bits -= <i32>(lengthWidth + matchWidth + offsetWidth)
    }
    if (bits < 0) return ZSTD_SEQUENCES

    if (literalLength > literalsEnd - literals || literalLength + matchLength > limit - out) return ZSTD_SEQUENCES
    copyLiterals(out, literals, literalLength)
    out += literalLength
    literals += literalLength
    const distance: usize = offset
    if (distance > out - start) {
      if (!copyOlder(out, distance - (out - start), distance, matchLength)) return ZSTD_OFFSET
    } else {
      copyMatch(out, distance, matchLength)
    }
    out += matchLength
    if (!count) break
  }
  if (bits) return ZSTD_SEQUENCES
  repeat1 = rep1
  repeat2 = rep2
  repeat3 = rep3
  setOutputPosition(out)
  return appendLiterals(literals, literalsEnd, limit)
}
