// SHA-256 (FIPS 180-4): one stream, and four independent messages at once in the lanes of vectors.
import { LANE_STATE, SHA_SCHEDULE, SHA_STATE } from './layout'

const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
])

const INITIAL: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
])

// ---- one stream

/** Of the two schedules one is written while the other is read. The second stands this far behind the first. */
const OTHER: usize = 0x800

// @ts-ignore: decorator
@inline
function sum1(e: u32): u32 {
  return rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)
}

// @ts-ignore: decorator
@inline
function sum0(a: u32): u32 {
  return rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)
}

// @ts-ignore: decorator
@inline
function choose(e: u32, f: u32, g: u32): u32 {
  return g ^ (e & (f ^ g))
}

/** Sets the chaining value at SHA_STATE to that of an empty message. */
export function shaStart(): void {
  memory.copy(SHA_STATE, INITIAL, 32)
}

/** Takes `blocks` blocks of 64 bytes at `from` into the chaining value at SHA_STATE. */
export function shaBlocks(from: usize, blocks: u32): void {
  if (!blocks) return
  // Of the last group one to three blocks may be missing: their lanes take the bytes that follow, and nobody looks at them.
  scheduleLanes(from, SHA_SCHEDULE)
  let schedule: usize = SHA_SCHEDULE
  while (blocks > 4) {
    from += 256
    const next = SHA_SCHEDULE * 2 + OTHER - schedule
    rounds(schedule, 4, from, next)
    schedule = next
    blocks -= 4
  }
  rounds(schedule, blocks, 0, 0)
}

/**
 * The 64 rounds over the first lanes of a schedule, whose words (W + K) stand 16 bytes apart; meanwhile, the schedule of the
 * four blocks at `from` is made at `next`, unless that is 0. The rounds are a chain of scalar instructions that leaves the
 * processor's vector units idle, and the schedule is all vectors: side by side they take little longer than the rounds alone
 * (1.4 times as fast as one after the other, with what the majority takes from the round before).
 */
function rounds(schedule: usize, lanes: u32, from: usize, next: usize): void {
  let w = next
  for (let lane: u32 = 0; lane < lanes; lane++) {
    let a = load<u32>(SHA_STATE)
    let b = load<u32>(SHA_STATE, 4)
    let c = load<u32>(SHA_STATE, 8)
    let d = load<u32>(SHA_STATE, 12)
    let e = load<u32>(SHA_STATE, 16)
    let f = load<u32>(SHA_STATE, 20)
    let g = load<u32>(SHA_STATE, 24)
    let h = load<u32>(SHA_STATE, 28)
    // The majority of a, b, c is b ^ ((a ^ b) & (b ^ c)), and this round's a ^ b is the next one's b ^ c.
    let x = b ^ c
    let y: u32
    let at = schedule + (<usize>lane << 2)
    for (const end = at + 1024; at < end; at += 128) {
      if (next) {
        if (lane) {
          extendTwo(w)
          w += 32
        } else if (at & 128) {
          transposeFour(next + ((at & 0x300) >> 2), from + ((at & 0x300) >> 4))
        }
      }
      h = h + load<u32>(at) + choose(e, f, g) + sum1(e)
      d += h
      y = a ^ b
      h += (b ^ (x & y)) + sum0(a)
      g = g + load<u32>(at, 16) + choose(d, e, f) + sum1(d)
      c += g
      x = h ^ a
      g += (a ^ (x & y)) + sum0(h)
      f = f + load<u32>(at, 32) + choose(c, d, e) + sum1(c)
      b += f
      y = g ^ h
      f += (h ^ (x & y)) + sum0(g)
      e = e + load<u32>(at, 48) + choose(b, c, d) + sum1(b)
      a += e
      x = f ^ g
      e += (g ^ (x & y)) + sum0(f)
      d = d + load<u32>(at, 64) + choose(a, b, c) + sum1(a)
      h += d
      y = e ^ f
      d += (f ^ (x & y)) + sum0(e)
      c = c + load<u32>(at, 80) + choose(h, a, b) + sum1(h)
      g += c
      x = d ^ e
      c += (e ^ (x & y)) + sum0(d)
      b = b + load<u32>(at, 96) + choose(g, h, a) + sum1(g)
      f += b
      y = c ^ d
      b += (d ^ (x & y)) + sum0(c)
      a = a + load<u32>(at, 112) + choose(f, g, h) + sum1(f)
      e += a
      x = b ^ c
      a += (c ^ (x & y)) + sum0(b)
    }
    store<u32>(SHA_STATE, load<u32>(SHA_STATE) + a)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 4) + b, 4)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 8) + c, 8)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 12) + d, 12)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 16) + e, 16)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 20) + f, 20)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 24) + g, 24)
    store<u32>(SHA_STATE, load<u32>(SHA_STATE, 28) + h, 28)
  }
}

// ---- four lanes

// @ts-ignore: decorator
@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shr_u(x, bits), i32x4.shl(x, 32 - bits))
}

/** Four words of each of four messages, big-endian, become four vectors of one word each; stored at `to`. */
// @ts-ignore: decorator
@inline
function transpose(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  a = v128.swizzle(a, i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
  b = v128.swizzle(b, i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
  c = v128.swizzle(c, i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
  d = v128.swizzle(d, i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
  const ab0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5)
  const ab1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const cd0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5)
  const cd1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<u64>(ab0, cd0, 0, 2))
  v128.store(to, v128.shuffle<u64>(ab0, cd0, 1, 3), 16)
  v128.store(to, v128.shuffle<u64>(ab1, cd1, 0, 2), 32)
  v128.store(to, v128.shuffle<u64>(ab1, cd1, 1, 3), 48)
}

// @ts-ignore: decorator
@inline
function transposeBlocks(to: usize, a: usize, b: usize, c: usize, d: usize): void {
  transpose(to, v128.load(a), v128.load(b), v128.load(c), v128.load(d))
  transpose(to + 64, v128.load(a, 16), v128.load(b, 16), v128.load(c, 16), v128.load(d, 16))
  transpose(to + 128, v128.load(a, 32), v128.load(b, 32), v128.load(c, 32), v128.load(d, 32))
  transpose(to + 192, v128.load(a, 48), v128.load(b, 48), v128.load(c, 48), v128.load(d, 48))
}

/** Word t of the schedule, from words t-16, t-15, t-7 and t-2. */
// @ts-ignore: decorator
@inline
function extend(w16: v128, w15: v128, w7: v128, w2: v128): v128 {
  const s0 = v128.xor(v128.xor(rotate(w15, 7), rotate(w15, 18)), i32x4.shr_u(w15, 3))
  const s1 = v128.xor(v128.xor(rotate(w2, 17), rotate(w2, 19)), i32x4.shr_u(w2, 10))
  return i32x4.add(i32x4.add(w16, s0), i32x4.add(w7, s1))
}

// A schedule is 64 vectors, one lane a block: the words with their constants, which the rounds add, and PLAIN further on the
// words alone, which the next ones are made of.
const PLAIN: usize = 0x400

/** Puts four words of each of the four blocks at `from` into a schedule. */
// @ts-ignore: decorator
@inline
function transposeFour(schedule: usize, from: usize): void {
  transpose(schedule + PLAIN, v128.load(from), v128.load(from, 64), v128.load(from, 128), v128.load(from, 192))
  const k = K + ((schedule & 0x3f0) >> 2)
  v128.store(schedule, i32x4.add(v128.load(schedule, PLAIN), v128.load32_splat(k)))
  v128.store(schedule, i32x4.add(v128.load(schedule, PLAIN + 16), v128.load32_splat(k, 4)), 16)
  v128.store(schedule, i32x4.add(v128.load(schedule, PLAIN + 32), v128.load32_splat(k, 8)), 32)
  v128.store(schedule, i32x4.add(v128.load(schedule, PLAIN + 48), v128.load32_splat(k, 12)), 48)
}

/** Makes two words, those 16 further on than `at`. They do not need each other. */
// @ts-ignore: decorator
@inline
function extendTwo(at: usize): void {
  const w15 = v128.load(at, PLAIN + 16)
  const one = extend(v128.load(at, PLAIN), w15, v128.load(at, PLAIN + 144), v128.load(at, PLAIN + 224))
  const two = extend(w15, v128.load(at, PLAIN + 32), v128.load(at, PLAIN + 160), v128.load(at, PLAIN + 240))
  v128.store(at, one, PLAIN + 256)
  v128.store(at, two, PLAIN + 272)
  const k = K + ((at & 0x3f0) >> 2)
  v128.store(at, i32x4.add(one, v128.load32_splat(k, 64)), 256)
  v128.store(at, i32x4.add(two, v128.load32_splat(k, 68)), 272)
}

/** The schedule of the four blocks at `from`. */
function scheduleLanes(from: usize, schedule: usize): void {
  for (let i: usize = 0; i < 64; i += 16) transposeFour(schedule + (i << 2), from + i)
  for (const end = schedule + 48 * 16; schedule < end; schedule += 32) extendTwo(schedule)
}

/** Sets one lane's chaining value, at LANE_STATE, to that of an empty message. */
export function laneStart(lane: usize): void {
  for (let i: usize = 0; i < 8; i++) {
    store<u32>(LANE_STATE + (i << 4) + (lane << 2), load<u32>(INITIAL + (i << 2)))
  }
}

/** Makes a word of the lanes' schedule, that 16 further on than `at`. */
// @ts-ignore: decorator
@inline
function extendLane(at: usize): void {
  v128.store(at, extend(v128.load(at), v128.load(at, 16), v128.load(at, 144), v128.load(at, 224)), 256)
}

// @ts-ignore: decorator
@inline
function laneChoose(e: v128, f: v128, g: v128): v128 {
  return v128.xor(g, v128.and(e, v128.xor(f, g)))
}

// @ts-ignore: decorator
@inline
function laneSum1(e: v128): v128 {
  return v128.xor(v128.xor(rotate(e, 6), rotate(e, 11)), rotate(e, 25))
}

// @ts-ignore: decorator
@inline
function laneSum0(a: v128): v128 {
  return v128.xor(v128.xor(rotate(a, 2), rotate(a, 13)), rotate(a, 22))
}

/** Takes `blocks` blocks of each of four messages into the chaining values at LANE_STATE. */
export function laneRun(p: usize, q: usize, r: usize, s: usize, blocks: u32): void {
  for (; blocks; blocks--) {
    laneBlocks(p, q, r, s)
    p += 64
    q += 64
    r += 64
    s += 64
  }
}

/** Takes one block of each of four messages into the chaining values at LANE_STATE. */
export function laneBlocks(p: usize, q: usize, r: usize, s: usize): void {
  transposeBlocks(SHA_SCHEDULE, p, q, r, s)
  let a = v128.load(LANE_STATE)
  let b = v128.load(LANE_STATE, 16)
  let c = v128.load(LANE_STATE, 32)
  let d = v128.load(LANE_STATE, 48)
  let e = v128.load(LANE_STATE, 64)
  let f = v128.load(LANE_STATE, 80)
  let g = v128.load(LANE_STATE, 96)
  let h = v128.load(LANE_STATE, 112)
  let x = v128.xor(b, c)
  let y: v128
  let t: v128
  let w = SHA_SCHEDULE
  // The schedule is made 16 words ahead: with 48 words more it is complete.
  let more = true
  for (let k = K; k < K + 256; k += 32) {
    if (k == K + 192) more = false
    if (more) extendLane(w)
    h = i32x4.add(i32x4.add(h, i32x4.add(v128.load32_splat(k), v128.load(w))), laneChoose(e, f, g))
    t = laneSum1(e)
    d = i32x4.add(i32x4.add(d, h), t)
    y = v128.xor(a, b)
    h = i32x4.add(i32x4.add(i32x4.add(h, t), v128.xor(b, v128.and(x, y))), laneSum0(a))
    if (more) extendLane(w + 16)
    g = i32x4.add(i32x4.add(g, i32x4.add(v128.load32_splat(k, 4), v128.load(w, 16))), laneChoose(d, e, f))
    t = laneSum1(d)
    c = i32x4.add(i32x4.add(c, g), t)
    x = v128.xor(h, a)
    g = i32x4.add(i32x4.add(i32x4.add(g, t), v128.xor(a, v128.and(y, x))), laneSum0(h))
    if (more) extendLane(w + 32)
    f = i32x4.add(i32x4.add(f, i32x4.add(v128.load32_splat(k, 8), v128.load(w, 32))), laneChoose(c, d, e))
    t = laneSum1(c)
    b = i32x4.add(i32x4.add(b, f), t)
    y = v128.xor(g, h)
    f = i32x4.add(i32x4.add(i32x4.add(f, t), v128.xor(h, v128.and(x, y))), laneSum0(g))
    if (more) extendLane(w + 48)
    e = i32x4.add(i32x4.add(e, i32x4.add(v128.load32_splat(k, 12), v128.load(w, 48))), laneChoose(b, c, d))
    t = laneSum1(b)
    a = i32x4.add(i32x4.add(a, e), t)
    x = v128.xor(f, g)
    e = i32x4.add(i32x4.add(i32x4.add(e, t), v128.xor(g, v128.and(y, x))), laneSum0(f))
    if (more) extendLane(w + 64)
    d = i32x4.add(i32x4.add(d, i32x4.add(v128.load32_splat(k, 16), v128.load(w, 64))), laneChoose(a, b, c))
    t = laneSum1(a)
    h = i32x4.add(i32x4.add(h, d), t)
    y = v128.xor(e, f)
    d = i32x4.add(i32x4.add(i32x4.add(d, t), v128.xor(f, v128.and(x, y))), laneSum0(e))
    if (more) extendLane(w + 80)
    c = i32x4.add(i32x4.add(c, i32x4.add(v128.load32_splat(k, 20), v128.load(w, 80))), laneChoose(h, a, b))
    t = laneSum1(h)
    g = i32x4.add(i32x4.add(g, c), t)
    x = v128.xor(d, e)
    c = i32x4.add(i32x4.add(i32x4.add(c, t), v128.xor(e, v128.and(y, x))), laneSum0(d))
    if (more) extendLane(w + 96)
    b = i32x4.add(i32x4.add(b, i32x4.add(v128.load32_splat(k, 24), v128.load(w, 96))), laneChoose(g, h, a))
    t = laneSum1(g)
    f = i32x4.add(i32x4.add(f, b), t)
    y = v128.xor(c, d)
    b = i32x4.add(i32x4.add(i32x4.add(b, t), v128.xor(d, v128.and(x, y))), laneSum0(c))
    if (more) extendLane(w + 112)
    a = i32x4.add(i32x4.add(a, i32x4.add(v128.load32_splat(k, 28), v128.load(w, 112))), laneChoose(f, g, h))
    t = laneSum1(f)
    e = i32x4.add(i32x4.add(e, a), t)
    x = v128.xor(b, c)
    a = i32x4.add(i32x4.add(i32x4.add(a, t), v128.xor(c, v128.and(y, x))), laneSum0(b))
    w += 128
  }
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE), a))
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 16), b), 16)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 32), c), 32)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 48), d), 48)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 64), e), 64)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 80), f), 80)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 96), g), 96)
  v128.store(LANE_STATE, i32x4.add(v128.load(LANE_STATE, 112), h), 112)
}
