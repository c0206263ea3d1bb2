// Chain IDs of many images at once (CONTAINERD-FACTS §2.2): each image's chain is sequential, so four images' chains run
// side by side in the lanes of SHA-256.
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
      if (left) nextLink(i)
      else if (!takeImage(i)) busy--
    }
  }
}

/** The block that a lane is at; an idle lane hashes its old message and nobody looks. */
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
    const message = LANE_MESSAGES + i * MESSAGE_BYTES
    memory.copy(message, text, first)
    link(i, first)
    return true
  }
  return false
}

/** The lane's message begins with the chain ID just found. */
function nextLink(i: usize): void {
  const message = LANE_MESSAGES + i * MESSAGE_BYTES
  memory.copy(message, <usize>load<u32>(lane(i), 20) - CHAIN_ID_BYTES, CHAIN_ID_BYTES)
  link(i, CHAIN_ID_BYTES)
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
  memory.copy(message + length + 1, text, more)
  length += 1 + more
  const padded = (length + 9 + 63) & ~63
  memory.fill(message + length, 0, padded - length)
  store<u8>(message + length, 0x80)
  store<u32>(message + padded - 4, bswap<u32>(<u32>length << 3))
  store<u32>(at, <u32>message, 4)
  store<u32>(at, <u32>(message + padded), 8)
  laneStart(i)
}

/** Writes a lane's digest as text. */
function answer(i: usize): void {
  const at = lane(i)
  const to: usize = load<u32>(at, 20)
  // "sha256:" (and a zero that the first digit overwrites)
  store<u64>(to, 0x003a363532616873)
  for (let word: usize = 0; word < 8; word++) {
    store<u64>(to + 7 + (word << 3), hex(load<u32>(LANE_STATE + (word << 4) + (i << 2))))
  }
  store<u32>(at, <u32>(to + CHAIN_ID_BYTES), 20)
}

/** Eight hexadecimal digits, the first in the lowest byte. */
// @ts-ignore: decorator
@inline
function hex(word: u32): u64 {
  let x = <u64>bswap<u32>(word)
  // Spread the nibbles, one to a byte, the higher of each byte first.
  x = (x | (x << 16)) & 0x0000ffff0000ffff
  x = (x | (x << 8)) & 0x00ff00ff00ff00ff
  x = ((x >> 4) & 0x000f000f000f000f) | ((x & 0x000f000f000f000f) << 8)
  // A byte of 10 or more carries into its bit 4 when 6 is added: those take 39 more, from '0' + 10 to 'a'.
  const letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101
  return x + 0x3030303030303030 + letters * 39
}
