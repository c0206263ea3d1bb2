// The frame's window: a ring in which a block never wraps. When the next block might not fit before the end, output goes
// on at the start, and what lies behind becomes the older part of the history, to which few matches reach.
import { WINDOW } from '../layout'
import { keptViews } from '../stream'

const BLOCK_MAX: usize = 0x20000
/** What vectors may write past the end of a block. */
const SLACK: usize = 0x80

/** Where the next byte of output goes. */
export let output: usize = WINDOW
/** End of the older part of the history, which begins at WINDOW; WINDOW itself when there is none. */
export let olderEnd: usize = WINDOW
export let windowSize: usize = 0
let ringEnd: usize = WINDOW

/** Begins a frame with a window of `size` bytes. Answers false when there is not that much memory. */
export function openWindow(size: usize): bool {
  windowSize = size
  output = WINDOW
  olderEnd = WINDOW
  // The window and two blocks more: one is being written, and up to one stays free at the end when the output wraps. Then as many
  // as there are views to keep.
  ringEnd = WINDOW + size + (2 + keptViews) * BLOCK_MAX + SLACK
  const pages = <i32>((ringEnd + SLACK + 0xffff) >> 16) - memory.size()
  return pages <= 0 || memory.grow(pages) >= 0
}

/** Makes room for a block of at most `size` bytes. */
export function openBlock(size: usize): void {
  if (output + size + SLACK <= ringEnd) return
  olderEnd = output
  output = WINDOW
}

export function setOutputPosition(position: usize): void {
  output = position
}

/** How far a match may reach when it begins in the older part: 0 when there is none. */
export function olderReach(): usize {
  return olderEnd > WINDOW ? windowSize : 0
}

/** Copies a match that begins at `from` in the older part of the history and runs on at the newer part's start. */
export function copyAcross(to: usize, from: usize, length: usize): void {
  const older = olderEnd - from
  memory.copy(to, from, older)
  to += older
  from = WINDOW
  // It may overlap what it writes.
  for (const end = to + length - older; to < end; to++) store<u8>(to, load<u8>(from++))
}
