// CRC-32 as gzip has it (RFC 1952 §8): polynomial 0xEDB88320, bits reflected.
import { CRC_SCRATCH, CRC_TABLES } from './layout'

let ready: bool = false

/** Eight tables, so that eight bytes are taken at a time: table k holds each byte's remainder k bytes further on. */
function prepare(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c = i
    for (let k = 0; k < 8; k++) c = (c >> 1) ^ (0xedb88320 & (0 - (c & 1)))
    store<u32>(CRC_TABLES + (<usize>i << 2), c)
  }
  for (let i: usize = 256; i < 2048; i++) {
    const c = load<u32>(CRC_TABLES + ((i - 256) << 2))
    store<u32>(CRC_TABLES + (i << 2), (c >> 8) ^ load<u32>(CRC_TABLES + (<usize>(c & 0xff) << 2)))
  }
  ready = true
}

// @ts-ignore: decorator
@inline
function entry(table: usize, byte: u32): u32 {
  return load<u32>(CRC_TABLES + (table << 10) + (<usize>(byte & 0xff) << 2))
}

/**
 * Folding, with nothing but exclusive-or. x^2400 + x^1240 + x^936 + x^712 + 1 is a multiple of the polynomial (found by search;
 * the smallest of five terms whose exponents are whole bytes). Modulo it, a byte may be replaced by itself added to the bytes
 * 145, 183, 211 and 300 further on. So each vector of 16 takes up the four that stand so far before it, and only what falls
 * into the last 300 bytes is left for the tables. Gained over the tables alone: about 6 times.
 */
const REACH: usize = 300
const NEAR: usize = 145
const SECOND: usize = 183
const THIRD: usize = 211
/** The vectors that are folded at once: fewer bytes than NEAR, so that none waits for another. */
const STRIDE: usize = 128
/** Folded vectors stand at SCRATCH, after the last ones of the block before. */
const HISTORY: usize = 320
const SCRATCH: usize = CRC_SCRATCH
const SCRATCH_BLOCK: usize = 0x2000
const REMAINDER: usize = SCRATCH + HISTORY + SCRATCH_BLOCK + 0x200
const FOLD_FROM: usize = 1024

// @ts-ignore: decorator
@inline
function taken(at: usize): v128 {
  return v128.xor(
    v128.xor(v128.load(at - NEAR), v128.load(at - SECOND)),
    v128.xor(v128.load(at - THIRD), v128.load(at - REACH)),
  )
}

// @ts-ignore: decorator
@inline
function foldOne(from: usize, to: usize): void {
  v128.store(to, v128.xor(v128.load(from), taken(to)))
}

/** The CRC register after `length` (at least FOLD_FROM) bytes, from the register `c` before. */
function folded(c: u32, from: usize, length: usize): u32 {
  const first = SCRATCH + HISTORY
  const last = first + SCRATCH_BLOCK
  memory.fill(SCRATCH, 0, HISTORY)
  let left = ((length - REACH) / STRIDE) * STRIDE
  const tail = length - left
  let to = first
  // The register is the same as exclusive-or into the first four bytes.
  const start = load<u32>(from)
  store<u32>(from, start ^ c)
  const restore = from
  while (left) {
    if (to == last) {
      memory.copy(SCRATCH, last - HISTORY, HISTORY)
      to = first
    }
    foldOne(from, to)
    foldOne(from + 16, to + 16)
    foldOne(from + 32, to + 32)
    foldOne(from + 48, to + 48)
    foldOne(from + 64, to + 64)
    foldOne(from + 80, to + 80)
    foldOne(from + 96, to + 96)
    foldOne(from + 112, to + 112)
    from += STRIDE
    to += STRIDE
    left -= STRIDE
  }
  store<u32>(restore, start)
  // The tail takes up folded bytes, but is not folded itself: what it would have given further on is zero.
  memory.fill(to, 0, REACH + 16)
  let out = REMAINDER
  for (const end = REMAINDER + tail; out < end; out += 16) {
    v128.store(out, v128.xor(v128.load(from), taken(to)))
    from += 16
    to += 16
  }
  return tabled(0, REMAINDER, tail)
}

/** The CRC register after some bytes, eight at a time. */
function tabled(c: u32, from: usize, length: usize): u32 {
  const end = from + length
  while (from + 8 <= end) {
    const low = c ^ load<u32>(from)
    const high = load<u32>(from, 4)
    c = entry(7, low) ^ entry(6, low >> 8) ^ entry(5, low >> 16) ^ entry(4, low >> 24)
      ^ entry(3, high) ^ entry(2, high >> 8) ^ entry(1, high >> 16) ^ entry(0, high >> 24)
    from += 8
  }
  while (from < end) {
    c = (c >> 8) ^ entry(0, c ^ load<u8>(from))
    from++
  }
  return c
}

/** The CRC of what gave `crc` (0 for nothing) followed by `length` bytes at `from`. */
export function crc32(crc: u32, from: usize, length: usize): u32 {
  if (!ready) prepare()
  return ~(length < FOLD_FROM ? tabled(~crc, from, length) : folded(~crc, from, length))
}
