// Finite state entropy: distributions and the decoding tables made of them (RFC 8878 §4.1.1).
import { FSE_COUNTS, FSE_NEXT, FSE_SYMBOLS } from '../layout'

// An entry, 16 bytes, each field where one load takes it: to keep whole entries and cut the fields out of them takes more
// registers than there are (4 to 6 % of all decoding).
//   0   how many extra bits the value takes
//   1   how many bits the next state takes
//   2   the base of the next state: the address of an entry, 16 bits
//   4   a mask of the next state's bits, STATE_SHIFT places up, 32 bits
//   8   the base of the value, 32 bits
//   12  a mask of its extra bits, 32 bits
// Templates have the value and its extra bits.
/** The size of an entry, as a power of two. */
export const STATE_SHIFT: u32 = 4

// @ts-ignore: decorator
@inline
export function extraBits(entry: usize): i32 {
  return load<u8>(entry)
}

// @ts-ignore: decorator
@inline
export function stateBits(entry: usize): i32 {
  return load<u8>(entry, 1)
}

/** The next state: an entry's address. Its bits stand STATE_SHIFT places up in `bits`. */
// @ts-ignore: decorator
@inline
export function nextState(entry: usize, bits: u64): usize {
  return <usize>load<u16>(entry, 2) + (<usize>bits & <usize>load<u32>(entry, 4))
}

/** The value of an entry without its extra bits. */
// @ts-ignore: decorator
@inline
export function baseValue(entry: usize): u32 {
  return load<u32>(entry, 8)
}

/** The value, whose extra bits are the lowest of `bits`. */
// @ts-ignore: decorator
@inline
export function value(entry: usize, bits: u64): u32 {
  return load<u32>(entry, 8) + (<u32>bits & load<u32>(entry, 12))
}

/** Writes a template: a value's base and how many extra bits it takes. */
export function storeTemplate(at: usize, base: u32, extra: u32): void {
  store<u64>(at, extra)
  store<u32>(at, base, 8)
  store<u32>(at, (1 << extra) - 1, 12)
}

/** Makes a table of one symbol: the state takes no bits and stays. */
export function buildSingle(table: usize, template: usize): void {
  v128.store(table, v128.load(template))
  store<u16>(table, <u16>table, 2)
}

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

/**
 * Builds the decoding table of the distribution at FSE_COUNTS at `table`, to be used at `home`; `templates` has an entry for
 * every symbol.
 */
export function buildFSE(table: usize, home: usize, templates: usize): void {
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
    const base = <u32>home + (((next << width) - size) << STATE_SHIFT)
    const mask = ((1 << width) - 1) << STATE_SHIFT
    const entry = table + (<usize>i << STATE_SHIFT)
    v128.store(entry, v128.load(templates + (s << STATE_SHIFT)))
    store<u8>(entry, <u8>width, 1)
    store<u32>(entry, base | (mask << 16), 2)
  }
}

/** Sets the distribution to a given one: `count` counts of 8 bits. */
export function setDistribution(counts: usize, count: u32, log: u32): void {
  for (let i: usize = 0; i < count; i++) store<i16>(FSE_COUNTS + (i << 1), load<i8>(counts + i))
  symbols = count
  accuracy = log
}
