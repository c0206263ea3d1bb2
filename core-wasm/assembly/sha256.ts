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

// @ts-ignore: decorator
@inline
function majority(a: u32, b: u32, c: u32): u32 {
  return (a & b) | (c & (a | b))
}

/** Sets the chaining value at SHA_STATE to that of an empty message. */
export function shaStart(): void {
  memory.copy(SHA_STATE, INITIAL, 32)
}

/** Takes `blocks` blocks of 64 bytes at `from` into the chaining value at SHA_STATE. */
export function shaBlocks(from: usize, blocks: u32): void {
  while (blocks >= 4) {
    scheduleLanes(from, from + 64, from + 128, from + 192)
    for (let lane: usize = 0; lane < 4; lane++) rounds(SHA_SCHEDULE + (lane << 2))
    from += 256
    blocks -= 4
  }
  if (blocks) {
    // One to three blocks: the lanes without a block work on the first again, and nobody looks at them.
    scheduleLanes(from, blocks > 1 ? from + 64 : from, blocks > 2 ? from + 128 : from, from)
    for (let lane: usize = 0; lane < blocks; lane++) rounds(SHA_SCHEDULE + (lane << 2))
  }
}

/** The 64 rounds over one lane of the schedule, whose words (W + K) stand 16 bytes apart. */
function rounds(schedule: usize): void {
  let a = load<u32>(SHA_STATE)
  let b = load<u32>(SHA_STATE, 4)
  let c = load<u32>(SHA_STATE, 8)
  let d = load<u32>(SHA_STATE, 12)
  let e = load<u32>(SHA_STATE, 16)
  let f = load<u32>(SHA_STATE, 20)
  let g = load<u32>(SHA_STATE, 24)
  let h = load<u32>(SHA_STATE, 28)
  for (const end = schedule + 1024; schedule < end; schedule += 128) {
    h += load<u32>(schedule) + sum1(e) + choose(e, f, g)
    d += h
    h += sum0(a) + majority(a, b, c)
    g += load<u32>(schedule, 16) + sum1(d) + choose(d, e, f)
    c += g
    g += sum0(h) + majority(h, a, b)
    f += load<u32>(schedule, 32) + sum1(c) + choose(c, d, e)
    b += f
    f += sum0(g) + majority(g, h, a)
    e += load<u32>(schedule, 48) + sum1(b) + choose(b, c, d)
    a += e
    e += sum0(f) + majority(f, g, h)
    d += load<u32>(schedule, 64) + sum1(a) + choose(a, b, c)
    h += d
    d += sum0(e) + majority(e, f, g)
    c += load<u32>(schedule, 80) + sum1(h) + choose(h, a, b)
    g += c
    c += sum0(d) + majority(d, e, f)
    b += load<u32>(schedule, 96) + sum1(g) + choose(g, h, a)
    f += b
    b += sum0(c) + majority(c, d, e)
    a += load<u32>(schedule, 112) + sum1(f) + choose(f, g, h)
    e += a
    a += sum0(b) + majority(b, c, d)
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
  a = v128.shuffle<u8>(a, a, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  b = v128.shuffle<u8>(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  c = v128.shuffle<u8>(c, c, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  d = v128.shuffle<u8>(d, d, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
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

/** The schedules (W + K) of four blocks at SHA_SCHEDULE: 64 vectors, one lane a block. */
function scheduleLanes(a: usize, b: usize, c: usize, d: usize): void {
  transposeBlocks(SHA_SCHEDULE, a, b, c, d)
  for (let w = SHA_SCHEDULE; w < SHA_SCHEDULE + 48 * 16; w += 16) {
    v128.store(w, extend(v128.load(w), v128.load(w, 16), v128.load(w, 144), v128.load(w, 224)), 256)
  }
  for (let t: usize = 0; t < 64; t++) {
    const w = SHA_SCHEDULE + (t << 4)
    v128.store(w, i32x4.add(v128.load(w), v128.load32_splat(K + (t << 2))))
  }
}

/** Sets one lane's chaining value, at LANE_STATE, to that of an empty message. */
export function laneStart(lane: usize): void {
  for (let i: usize = 0; i < 8; i++) {
    store<u32>(LANE_STATE + (i << 4) + (lane << 2), load<u32>(INITIAL + (i << 2)))
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
  let w = SHA_SCHEDULE
  for (let k = K; k < K + 256; k += 4) {
    const word = v128.load(w)
    // The schedule runs 16 words ahead; its last words are computed in vain, which costs less than a second loop.
    v128.store(w, extend(word, v128.load(w, 16), v128.load(w, 144), v128.load(w, 224)), 256)
    const s1 = v128.xor(v128.xor(rotate(e, 6), rotate(e, 11)), rotate(e, 25))
    const ch = v128.bitselect(f, g, e)
    const t1 = i32x4.add(i32x4.add(i32x4.add(h, v128.load32_splat(k)), i32x4.add(word, ch)), s1)
    const s0 = v128.xor(v128.xor(rotate(a, 2), rotate(a, 13)), rotate(a, 22))
    const maj = v128.bitselect(c, b, v128.xor(a, b))
    const t2 = i32x4.add(s0, maj)
    h = g
    g = f
    f = e
    e = i32x4.add(d, t1)
    d = c
    c = b
    b = a
    a = i32x4.add(t1, t2)
    w += 16
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
