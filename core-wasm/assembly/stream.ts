// The two ends of a stream: where the input stands, and which part of the window is the output of the present step.
import { INPUT, INPUT_BYTES, INPUT_SLACK } from './layout'

export let inputPosition: usize = INPUT
export let inputEnd: usize = INPUT
/** Whether nothing follows inputEnd. */
export let inputEnded: bool = false
export let outputStart: usize = 0
export let outputEnd: usize = 0

// @ts-ignore: decorator
@inline
export function setInputPosition(position: usize): void {
  inputPosition = position
}

/** How many of the last views stay intact while the next is made; 0 where the caller asks for the next one only when done. */
export let keptViews: usize = 0

export function keepViews(count: usize): void {
  keptViews = count
}

export function setOutput(start: usize, end: usize): void {
  outputStart = start
  outputEnd = end
}

export function resetStream(): void {
  inputPosition = INPUT
  inputEnd = INPUT
  inputEnded = false
  outputStart = 0
  outputEnd = 0
}

/**
 * Where the next input goes. What is not yet read moves to the front only when the end is reached, so that feeding small
 * pieces while a large block is awaited stays linear.
 */
export function inputRoom(): usize {
  if (inputEnd == INPUT + INPUT_BYTES || inputPosition == inputEnd) {
    const left = inputEnd - inputPosition
    memory.copy(INPUT, inputPosition, left)
    inputPosition = INPUT
    inputEnd = INPUT + left
  }
  return inputEnd
}

/** Says that the bytes from inputRoom() to `end` are there, and whether they are the last. */
export function supply(end: usize, ended: bool): void {
  inputEnd = end
  inputEnded = ended
  // Loads of whole words near the end must not see what an earlier stream left there.
  if (ended) memory.fill(end, 0, INPUT_SLACK)
}

export function inputLimit(): usize {
  return INPUT + INPUT_BYTES
}

export function outputFrom(): usize {
  return outputStart
}

export function outputTo(): usize {
  return outputEnd
}
