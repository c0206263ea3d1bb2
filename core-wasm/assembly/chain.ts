// Chain IDs of many images at once (functions/node/containerd/FACTS.md section 2, step 2). The chain of one image is sequential, so
// the chains of four images run side by side, one in each lane of SHA-256.
import { INPUT, LANE_MESSAGES, LANE_STATE, LITERALS, WINDOW } from './layout'
import { laneBlocks, laneStart } from './sha256'

/** A message is a chain ID, a space, and a diff ID of at most 256 bytes: with the padding at most nine blocks. */
const MESSAGE_BYTES: usize = 0x280

/** `sha256:` and 64 digits. */
const CHAIN_ID_BYTES: usize = 71

// What each lane is at: 6 words of text left, lengths left, and where its message and its answer stand.
const LANES: usize = memory.data(4 * 32)

// @ts-ignore: decorator
@inline
function lane(i: usize): usize {
  return LANES + (i << 5)
}

let nextText: usize = 0
let nextLengths: usize = 0
let nextAnswer: usize = 0
let lengthsEnd: usize = 0

/**
 * Takes a batch: at LITERALS, for each image the count of its diff IDs and then each one's length in bytes, as 32-bit
 * words, `words` in all; at INPUT their text, without separators. Leaves at WINDOW, for each image and each link past
 * the first, the chain ID as text. Images of one layer or none have no such link.
 */
export function chainBatch(words: u32): void {
  nextText = INPUT
  nextLengths = LITERALS
  nextAnswer = WINDOW
  lengthsEnd = LITERALS + (<usize>words << 2)
  let busy = 0
  for (let i: usize = 0; i < 4; i++) {
    store<u32>(lane(i), 0)
    if (takeImage(i)) busy++
  }
  while (busy) {
    laneBlocks(blockOf(0), blockOf(1), blockOf(2), blockOf(3))
    for (let i: usize = 0; i < 4; i++) {
      const at = lane(i)
      if (!load<u32>(at)) continue
      const block = load<u32>(at, 4) + 64
      if (block < load<u32>(at, 8)) {
        store<u32>(at, block, 4)
        continue
      }
      answer(i)
      const left = load<u32>(at) - 1
      store<u32>(at, left)
      if (left) link(i, CHAIN_ID_BYTES)
      else if (!takeImage(i)) busy--
    }
  }
}

/** The block that a lane is at. An idle lane hashes its old message again, and the result is not used. */
// @ts-ignore: decorator
@inline
function blockOf(i: usize): usize {
  return load<u32>(lane(i)) ? <usize>load<u32>(lane(i), 4) : LANE_MESSAGES + i * MESSAGE_BYTES
}

/** Gives a lane the next image with a second layer. */
function takeImage(i: usize): bool {
  while (nextLengths < lengthsEnd) {
    const count: usize = load<u32>(nextLengths)
    const lengths = nextLengths + 4
    const text = nextText
    for (let k: usize = 0; k < count; k++) nextText += load<u32>(lengths + (k << 2))
    nextLengths = lengths + (count << 2)
    if (count < 2) continue

    const at = lane(i)
    const first: usize = load<u32>(lengths)
    store<u32>(at, <u32>count - 1)
    store<u32>(at, <u32>(lengths + 4), 12)
    store<u32>(at, <u32>(text + first), 16)
    store<u32>(at, <u32>nextAnswer, 20)
    nextAnswer += (count - 1) * CHAIN_ID_BYTES
    copyText(LANE_MESSAGES + i * MESSAGE_BYTES, text, first)
    link(i, first)
    return true
  }
  return false
}

/**
 * Copies a text, and reads and writes up to 15 bytes past its end. memory.copy would leave WebAssembly, which for texts of 71
 * bytes costs more than the copy (3 % of all).
 */
// @ts-ignore: decorator
@inline
function copyText(to: usize, from: usize, length: usize): void {
  const end = to + length
  do {
    v128.store(to, v128.load(from))
    to += 16
    from += 16
  } while (to < end)
}

/** Completes a lane's message, of which `length` bytes stand, with the next diff ID and SHA-256's padding. */
function link(i: usize, length: usize): void {
  const at = lane(i)
  const message = LANE_MESSAGES + i * MESSAGE_BYTES
  const lengths = load<u32>(at, 12)
  const text = load<u32>(at, 16)
  const more = load<u32>(lengths)
  store<u32>(at, lengths + 4, 12)
  store<u32>(at, text + more, 16)
  store<u8>(message + length, 0x20)
  copyText(message + length + 1, text, more)
  length += 1 + more
  const padded = (length + 9 + 63) & ~63
  for (let to = length; to < padded; to += 16) v128.store(message + to, i8x16.splat(0))
  store<u8>(message + length, 0x80)
  store<u32>(message + padded - 4, bswap<u32>(<u32>length << 3))
  store<u32>(at, <u32>message, 4)
  store<u32>(at, <u32>(message + padded), 8)
  laneStart(i)
}

/** Writes a lane's digest as text, and begins its next message with it. */
function answer(i: usize): void {
  const at = lane(i)
  const to: usize = load<u32>(at, 20)
  const message = LANE_MESSAGES + i * MESSAGE_BYTES
  // "sha256:" (and a zero that the first digit overwrites)
  store<u64>(to, 0x003a363532616873)
  store<u64>(message, 0x003a363532616873)
  const state = LANE_STATE + (i << 2)
  storeDigits(to + 7, message + 7, fourWords(state))
  storeDigits(to + 39, message + 39, fourWords(state + 64))
  store<u32>(at, <u32>(to + CHAIN_ID_BYTES), 20)
}

/** Four words of one lane's state, as the bytes of its digest. */
// @ts-ignore: decorator
@inline
function fourWords(state: usize): v128 {
  let words = v128.load32_zero(state)
  words = v128.load_lane<u32>(state + 16, words, 1)
  words = v128.load_lane<u32>(state + 32, words, 2)
  words = v128.load_lane<u32>(state + 48, words, 3)
  return v128.swizzle(words, i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12))
}

/** Writes 16 bytes as 32 hexadecimal digits, at two places. */
// @ts-ignore: decorator
@inline
function storeDigits(one: usize, two: usize, bytes: v128): void {
  const digits = i8x16(0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66)
  const nibble = i8x16.splat(15)
  const high = v128.swizzle(digits, v128.and(i16x8.shr_u(bytes, 4), nibble))
  const low = v128.swizzle(digits, v128.and(bytes, nibble))
  const first = v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  const second = v128.shuffle<u8>(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
  v128.store(one, first)
  v128.store(one, second, 16)
  v128.store(two, first)
  v128.store(two, second, 16)
}
