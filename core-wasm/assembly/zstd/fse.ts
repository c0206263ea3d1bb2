// Finite state entropy: distributions and the decoding tables made of them (RFC 8878 §4.1.1).
import { FSE_COUNTS, FSE_NEXT, FSE_SYMBOLS } from '../layout'

// An entry, 64 bits. What the state takes, where it stands in every table:
//   bits 0-11   the base of the next state, as a byte offset into the table
//   bits 12-16  how many extra bits the value takes
//   bits 17-20  how many bits the next state takes
//   bits 21-29  a mask of as many bits
// and above it the value: its base and what else its kind needs (sequences.ts). Templates have the value and its extra bits.
export const NEXT: u32 = 0xff8
export const EXTRA_SHIFT: u64 = 12
export const WIDTH_SHIFT: u32 = 17
/** Brings the mask to where byte offsets have their bits. */
export const MASK_SHIFT: u32 = 18

/** Set by readDistribution: the table's size is 1 << accuracy. */
export let accuracy: u32 = 0
/** Set by readDistribution: how many symbols it gave counts to, at FSE_COUNTS, 16 bits each. */
export let symbols: u32 = 0

/** Reads a distribution. Answers where it ends, or 0 when it is none. */
export function readDistribution(from: usize, to: usize, maxSymbol: u32, maxAccuracy: u32): usize {
  if (from >= to) return 0
  const bitEnd: usize = (to - from) << 3
  accuracy = (load<u8>(from) & 15) + 5
  if (accuracy > maxAccuracy) return 0
  let at: usize = 4
  let remaining: i32 = (1 << accuracy) + 1
  let threshold: i32 = 1 << accuracy
  let width: u32 = accuracy + 1
  let symbol: u32 = 0

  while (remaining > 1 && symbol <= maxSymbol) {
    if (at > bitEnd) return 0
    const raw = load<u32>(from + (at >> 3)) >> <u32>(at & 7)
    // The values that need not the whole width take one bit less.
    const short = 2 * threshold - 1 - remaining
    let value = <i32>raw & (threshold - 1)
    if (value < short) {
      at += width - 1
    } else {
      value = <i32>raw & (2 * threshold - 1)
      if (value >= threshold) value -= short
      at += width
    }
    // 0 stands for "less than one": a state of its own, with a probability of -1.
    const count = value - 1
    remaining -= count < 0 ? 1 : count
    store<i16>(FSE_COUNTS + (<usize>symbol << 1), <i16>count)
    symbol++
    if (!count) {
      let repeat: u32 = 3
      while (repeat == 3) {
        if (at > bitEnd) return 0
        repeat = (load<u16>(from + (at >> 3)) >> <u16>(at & 7)) & 3
        at += 2
        for (let i: u32 = 0; i < repeat; i++) {
          if (symbol > maxSymbol) return 0
          store<i16>(FSE_COUNTS + (<usize>symbol << 1), 0)
          symbol++
        }
      }
    }
    while (remaining < threshold) {
      width--
      threshold >>= 1
    }
  }
  if (remaining != 1 || at > bitEnd) return 0
  symbols = symbol
  return from + ((at + 7) >> 3)
}

/** Builds the decoding table of the distribution at FSE_COUNTS; `templates` has an entry for every symbol. */
export function buildFSE(table: usize, templates: usize): void {
  const size: u32 = 1 << accuracy
  let high = size - 1
  for (let s: u32 = 0; s < symbols; s++) {
    const count = load<i16>(FSE_COUNTS + (<usize>s << 1))
    if (count == -1) {
      store<u8>(FSE_SYMBOLS + high, <u8>s)
      high--
    }
    store<u16>(FSE_NEXT + (<usize>s << 1), count == -1 ? 1 : count)
  }
  const step = (size >> 1) + (size >> 3) + 3
  let position: u32 = 0
  for (let s: u32 = 0; s < symbols; s++) {
    const count = load<i16>(FSE_COUNTS + (<usize>s << 1))
    for (let i: i16 = 0; i < count; i++) {
      store<u8>(FSE_SYMBOLS + position, <u8>s)
      do position = (position + step) & (size - 1)
      while (position > high)
    }
  }
  for (let i: u32 = 0; i < size; i++) {
    const s: usize = load<u8>(FSE_SYMBOLS + i)
    const next: u32 = load<u16>(FSE_NEXT + (s << 1))
    store<u16>(FSE_NEXT + (s << 1), <u16>(next + 1))
    const width = accuracy - (31 - clz(next))
    const taken = (((next << width) - size) << 3) | (width << WIDTH_SHIFT) | (((1 << width) - 1) << 21)
    const entry = load<u64>(templates + (s << 3)) | taken
    store<u64>(table + (<usize>i << 3), entry)
  }
}

/** Sets the distribution to a given one: `count` counts of 8 bits. */
export function setDistribution(counts: usize, count: u32, log: u32): void {
  for (let i: usize = 0; i < count; i++) store<i16>(FSE_COUNTS + (i << 1), load<i8>(counts + i))
  symbols = count
  accuracy = log
}
