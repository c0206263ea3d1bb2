// XXH64 with seed 0, the content checksum of zstd frames (RFC 8878 §3.1.1): its low 32 bits.
import { XXH_TAIL } from './layout'

const P1: u64 = 0x9e3779b185ebca87
const P2: u64 = 0xc2b2ae3d27d4eb4f
const P3: u64 = 0x165667b19e3779f9
const P4: u64 = 0x85ebca77c2b2ae63
const P5: u64 = 0x27d4eb2f165667c5

let one: u64 = 0
let two: u64 = 0
let three: u64 = 0
let four: u64 = 0
let total: u64 = 0
/** How many bytes of an unfinished stripe of 32 wait at XXH_TAIL. */
let waiting: usize = 0

export function xxhStart(): void {
  one = P1 + P2
  two = P2
  three = 0
  four = 0 - P1
  total = 0
  waiting = 0
}

// @ts-ignore: decorator
@inline
function round(lane: u64, word: u64): u64 {
  return rotl(lane + word * P2, 31) * P1
}

function stripes(from: usize, end: usize): usize {
  let a = one
  let b = two
  let c = three
  let d = four
  while (from + 32 <= end) {
    a = round(a, load<u64>(from))
    b = round(b, load<u64>(from, 8))
    c = round(c, load<u64>(from, 16))
    d = round(d, load<u64>(from, 24))
    from += 32
  }
  one = a
  two = b
  three = c
  four = d
  return from
}

export function xxhUpdate(from: usize, length: usize): void {
  total += length
  const end = from + length
  if (waiting) {
    const more = min<usize>(<usize>32 - waiting, length)
    memory.copy(XXH_TAIL + waiting, from, more)
    waiting += more
    from += more
    if (waiting < 32) return
    stripes(XXH_TAIL, XXH_TAIL + 32)
  }
  from = stripes(from, end)
  waiting = end - from
  memory.copy(XXH_TAIL, from, waiting)
}

// @ts-ignore: decorator
@inline
function merge(hash: u64, lane: u64): u64 {
  return (hash ^ round(0, lane)) * P1 + P4
}

export function xxhDigest(): u64 {
  let hash = P5
  if (total >= 32) {
    hash = rotl(one, 1) + rotl(two, 7) + rotl(three, 12) + rotl(four, 18)
    hash = merge(merge(merge(merge(hash, one), two), three), four)
  }
  hash += total
  let at = XXH_TAIL
  const end = XXH_TAIL + waiting
  while (at + 8 <= end) {
    hash = rotl(hash ^ round(0, load<u64>(at)), 27) * P1 + P4
    at += 8
  }
  if (at + 4 <= end) {
    hash = rotl(hash ^ (<u64>load<u32>(at) * P1), 23) * P2 + P3
    at += 4
  }
  while (at < end) {
    hash = rotl(hash ^ (<u64>load<u8>(at) * P5), 11) * P1
    at++
  }
  hash = (hash ^ (hash >> 33)) * P2
  hash = (hash ^ (hash >> 29)) * P3
  return hash ^ (hash >> 32)
}
