// Sequences (RFC 8878 §3.1.1.3.2): how many literals, then a match of which length at which offset; read and carried out.
import {
  LENGTH_FSE, LENGTH_FSE_DEFAULT, MATCH_FSE, MATCH_FSE_DEFAULT, OFFSET_FSE, OFFSET_FSE_DEFAULT, REPEATS, SEQUENCE_BASES,
  WIDE, WINDOW,
} from '../layout'
import { copyMatch, copyVectors, prepareMatches } from '../match'
import { CONTINUE, ZSTD_FSE, ZSTD_OFFSET, ZSTD_SEQUENCES } from '../status'
import { first, streamBits, window } from './bits'
import {
  STATE_SHIFT, accuracy, buildFSE, buildSingle, extraBits, nextState, readDistribution, setDistribution, stateBits, storeTemplate, value,
} from './fse'
import { copyAcross, olderEnd, olderReach, output, setOutputPosition } from './window'

const LENGTH_TEMPLATES: usize = SEQUENCE_BASES
const OFFSET_TEMPLATES: usize = SEQUENCE_BASES + 0x240
const MATCH_TEMPLATES: usize = SEQUENCE_BASES + 0x440

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

// Accuracies of the tables; -1 when there is none that a later block could repeat.
let lengthLog: i32 = -1
let offsetLog: i32 = -1
let matchLog: i32 = -1
let repeat1: u32 = 1

function prepare(): void {
  let base: u32 = 0
  for (let i: usize = 0; i < 36; i++) {
    const extra: u32 = load<u8>(LENGTH_EXTRA + i)
    storeTemplate(LENGTH_TEMPLATES + (i << STATE_SHIFT), base, extra)
    base += 1 << extra
  }
  base = 3
  for (let i: usize = 0; i < 53; i++) {
    const extra: u32 = load<u8>(MATCH_EXTRA + i)
    storeTemplate(MATCH_TEMPLATES + (i << STATE_SHIFT), base, extra)
    base += 1 << extra
  }
  // Values 1 to 3 (codes 0 and 1) are repeats; the others are offsets plus 3.
  for (let i: u32 = 0; i < 32; i++) storeTemplate(OFFSET_TEMPLATES + (<usize>i << STATE_SHIFT), i < 2 ? i : (1 << i) - 3, i)
  prepareMatches()
  setDistribution(LENGTH_DEFAULT, 36, 6)
  buildFSE(LENGTH_FSE_DEFAULT, LENGTH_FSE, LENGTH_TEMPLATES)
  setDistribution(OFFSET_DEFAULT, 29, 5)
  buildFSE(OFFSET_FSE_DEFAULT, OFFSET_FSE, OFFSET_TEMPLATES)
  setDistribution(MATCH_DEFAULT, 53, 6)
  buildFSE(MATCH_FSE_DEFAULT, MATCH_FSE, MATCH_TEMPLATES)
  prepared = true
}

/** Begins a frame: nothing to repeat but the three first offsets. */
export function sequencesReset(): void {
  if (!prepared) prepare()
  lengthLog = -1
  offsetLog = -1
  matchLog = -1
  repeat1 = 1
  store<u32>(REPEATS, 4)
  store<u32>(REPEATS, 8, 4)
}

let log: i32 = 0

/** Makes one code's table as `mode` says, its accuracy in `log`. Answers where its description ends, or 0 when it is none. */
function readTable(
  from: usize, to: usize, mode: u32, table: usize, standard: usize, standardLog: i32, templates: usize, maxSymbol: u32,
  maxAccuracy: u32,
): usize {
  if (mode == 0) {
    memory.copy(table, standard, <usize>1 << (STATE_SHIFT + standardLog))
    log = standardLog
    return from
  }
  if (mode == 1) {
    if (from >= to || load<u8>(from) > maxSymbol) return 0
    buildSingle(table, templates + (<usize>load<u8>(from) << STATE_SHIFT))
    log = 0
    return from + 1
  }
  if (mode == 2) {
    const end = readDistribution(from, to, maxSymbol, maxAccuracy)
    if (!end) return 0
    buildFSE(table, table, templates)
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
  from = readTable(from, to, modes >> 6, LENGTH_FSE, LENGTH_FSE_DEFAULT, 6, LENGTH_TEMPLATES, 35, 9)
  if (!from) return ZSTD_FSE
  lengthLog = log
  log = offsetLog
  from = readTable(from, to, (modes >> 4) & 3, OFFSET_FSE, OFFSET_FSE_DEFAULT, 5, OFFSET_TEMPLATES, 31, 8)
  if (!from) return ZSTD_FSE
  offsetLog = log
  log = matchLog
  from = readTable(from, to, (modes >> 2) & 3, MATCH_FSE, MATCH_FSE_DEFAULT, 6, MATCH_TEMPLATES, 52, 9)
  if (!from) return ZSTD_FSE
  matchLog = log

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

/** Sequences whose fields do not fit one word leave them here; see `wide`. */
const WIDE_OFFSET = WIDE
const WIDE_MATCH = WIDE + 8
const WIDE_LENGTH = WIDE + 16

/** Reads a sequence's values one by one: those with the longest lengths and offsets, of which there are few. */
function wide(bits: i32, lengthState: usize, offsetState: usize, matchState: usize): void {
  store<u64>(WIDE_OFFSET, first(window(0, bits), extraBits(offsetState)))
  bits -= extraBits(offsetState)
  store<u64>(WIDE_MATCH, first(window(0, bits), extraBits(matchState)))
  bits -= extraBits(matchState)
  store<u64>(WIDE_LENGTH, first(window(0, bits), extraBits(lengthState)))
}

/**
 * Reads `count` sequences and carries each out at once. All six fields of a sequence are taken from one 64-bit word, each by
 * one shift and a mask that its entry holds: no field waits for the one before to be shifted out. What is seldom needed is
 * kept in memory, for there are not registers enough: `bits` counts from address 0, so that the stream's start needs none.
 */
function run(stream: usize, streamBits: i32, count: u32, literals: usize, literalsEnd: usize, limit: usize): i32 {
  // What lies before this in memory is the older part of the history, or not ours.
  const start = WINDOW
  const none = <i32>stream << 3
  let bits = none + streamBits
  let out = output
  let rep1 = repeat1

  // A state is the address of its entry.
  let lengthState = LENGTH_FSE + (<usize>first(window(0, bits), lengthLog) << STATE_SHIFT)
  bits -= lengthLog
  let offsetState = OFFSET_FSE + (<usize>first(window(0, bits), offsetLog) << STATE_SHIFT)
  bits -= offsetLog
  let matchState = MATCH_FSE + (<usize>first(window(0, bits), matchLog) << STATE_SHIFT)
  bits -= matchLog
  // The bits that are left after a sequence's values. The loop also reads the states after the last sequence, which do not count.
  let left: i32

  do {
    // Where in the word each field ends, from the first to the last.
    const top = bits + 7
    let word = load<u64>((top >> 3) - 8)
    const begin = (top & 7) + 57
    const offsetExtra = extraBits(offsetState)
    const offsetEnd = begin - offsetExtra
    const matchEnd = offsetEnd - extraBits(matchState)
    let end = matchEnd - extraBits(lengthState)
    left = bits - begin + end
    let offset = value(offsetState, word >> offsetEnd)
    let matchLength: usize = value(matchState, word >> matchEnd)
    let literalLength: usize = value(lengthState, word >> end)
    if (end < 31) {
      // The states may take 27 bits more, and stand four places up.
      if (end < 0) {
        wide(bits, lengthState, offsetState, matchState)
        offset = value(offsetState, load<u64>(WIDE_OFFSET))
        matchLength = value(matchState, load<u64>(WIDE_MATCH))
        literalLength = value(lengthState, load<u64>(WIDE_LENGTH))
      }
      word = load<u64>(((left + 7) >> 3) - 8)
      end = ((left + 7) & 7) + 57
    }
    bits = left - end
    end -= STATE_SHIFT + stateBits(lengthState)
    lengthState = nextState(lengthState, word >> end)
    end -= stateBits(matchState)
    matchState = nextState(matchState, word >> end)
    end -= stateBits(offsetState)
    offsetState = nextState(offsetState, word >> end)
    bits += end + STATE_SHIFT

    let distance = offset
    if (offsetExtra > 1) {
      store<u32>(REPEATS, load<u32>(REPEATS), 4)
      store<u32>(REPEATS, rep1)
      rep1 = distance
    } else {
      // Values 1 to 3: repeats, one further when there are no literals.
      const which = offset + <u32>!literalLength
      distance = rep1
      if (which) {
        distance = which == 3 ? rep1 - 1 : load<u32>(REPEATS - 4 + (<usize>which << 2))
        if (!distance) return ZSTD_OFFSET
        if (which != 1) store<u32>(REPEATS, load<u32>(REPEATS), 4)
        store<u32>(REPEATS, rep1)
        rep1 = distance
      }
    }

    // Two checks in one: the bits were there, and the room is. Whether the literals were there is checked at the end; until then at
    // most a block's worth is read past them.
    if ((<i32>(limit - out - literalLength - matchLength) | (left - none)) < 0) return ZSTD_SEQUENCES
    copyVectors(out, literals, literalLength, out + literalLength)
    out += literalLength
    literals += literalLength
    let from = out - distance
    let across = false
    if (distance > out - start) {
      if (distance > olderReach()) return ZSTD_OFFSET
      from += olderEnd - start
      across = from + matchLength > olderEnd
    }
    if (across) copyAcross(out, from, matchLength)
    else copyMatch(out, from, distance, matchLength)
    out += matchLength
    count--
  } while (count)
  if (left != none || literals > literalsEnd) return ZSTD_SEQUENCES
  repeat1 = rep1
  setOutputPosition(out)
  return appendLiterals(literals, literalsEnd, limit)
}
