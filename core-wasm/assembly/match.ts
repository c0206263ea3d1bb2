// Copying matches, as deflate and zstd have them alike: some bytes again that stand a distance before.
import { PERIODS, SWIZZLES } from './layout'

let prepared: bool = false

/** The patterns that repeat a match of less than 16 bytes distance: index i of the pattern for distance d is i mod d. */
export function prepareMatches(): void {
  if (prepared) return
  for (let d: u32 = 1; d < 16; d++) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(SWIZZLES + (<usize>d << 4) + i, <u8>(i % d))
    store<u8>(PERIODS + d, <u8>(16 - (16 % d)))
  }
  prepared = true
}

/**
 * Copies what lies at least 16 bytes before, or elsewhere. Reads and writes up to 32 bytes past the end, which every window has
 * room for: two unconditional vectors end most copies without a loop, and so without a guess.
 * @param end to + length, which the callers need besides: worked out once (2 % of inflate)
 */
// @ts-ignore: decorator
@inline
export function copyVectors(to: usize, from: usize, length: usize, end: usize): void {
  v128.store(to, v128.load(from))
  v128.store(to, v128.load(from, 16), 16)
  if (length > 32) {
    do {
      to += 32
      from += 32
      v128.store(to, v128.load(from))
      v128.store(to, v128.load(from, 16), 16)
    } while (to + 32 < end)
  }
}

/** Copies a match, up to 32 bytes past its end. A distance below 16 becomes a vector that holds the pattern, moved on by whole periods. */
// @ts-ignore: decorator
@inline
export function copyMatch(to: usize, from: usize, distance: usize, length: usize): void {
  const end = to + length
  if (distance >= 16) {
    copyVectors(to, from, length, end)
  } else {
    const pattern = v128.swizzle(v128.load(from), v128.load(SWIZZLES + (distance << 4)))
    const step: usize = load<u8>(PERIODS + distance)
    do {
      v128.store(to, pattern)
      to += step
    } while (to < end)
  }
}
