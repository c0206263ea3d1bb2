// zstd frames (RFC 8878 §3.1): one after another, skippable ones passed over, each with its header, blocks and checksum.
import { xxhDigest, xxhStart, xxhUpdate } from '../xxhash64'
import { inputEnd, inputEnded, inputPosition, resetStream, setInputPosition, setOutput } from '../stream'
import {
  CONTINUE, DONE, NEED_INPUT, OUTPUT, ZSTD_BLOCK_SIZE, ZSTD_BLOCK_TYPE, ZSTD_CHECKSUM, ZSTD_CONTENT_SIZE, ZSTD_DICTIONARY,
  ZSTD_FRAME_HEADER, ZSTD_MAGIC, ZSTD_MEMORY, ZSTD_TRUNCATED, ZSTD_WINDOW,
} from '../status'
import { blocksReset, compressedBlock } from './block'
import { sequencesReset } from './sequences'
import { openBlock, openWindow, output, setOutputPosition } from './window'

const WINDOW_MAX: u64 = 0x8000000
const BLOCK_MAX: u64 = 0x20000

const MAGIC = 0
const SKIPPED = 1
const BLOCK = 2
const CHECKSUM = 3

let state: i32 = MAGIC
let any: bool = false
let toSkip: usize = 0
let checksum: bool = false
let sizeKnown: bool = false
let contentSize: u64 = 0
let contentDone: u64 = 0
let blockMax: usize = 0
let failure: i32 = CONTINUE

export function zstdStart(): void {
  resetStream()
  state = MAGIC
  any = false
  failure = CONTINUE
}

/** One short piece of work: OUTPUT (take it), NEED_INPUT, DONE, or what is wrong. */
export function zstdStep(): i32 {
  if (failure != CONTINUE) return failure
  while (true) {
    let result: i32
    if (state == BLOCK) result = block()
    else if (state == MAGIC) result = frameStart()
    else if (state == SKIPPED) result = skip()
    else result = verify()
    if (result >= ZSTD_MAGIC) failure = result
    if (result != CONTINUE) return result
  }
}

// @ts-ignore: decorator
@inline
function available(): usize {
  return inputEnd - inputPosition
}

// @ts-ignore: decorator
@inline
function missing(): i32 {
  return inputEnded ? ZSTD_TRUNCATED : NEED_INPUT
}

function frameStart(): i32 {
  const there = available()
  if (!there && any) return inputEnded ? DONE : NEED_INPUT
  if (there < 4) return missing()
  const magic = load<u32>(inputPosition)
  if ((magic & 0xfffffff0) == 0x184d2a50) {
    if (there < 8) return missing()
    toSkip = load<u32>(inputPosition, 4)
    setInputPosition(inputPosition + 8)
    state = SKIPPED
    return CONTINUE
  }
  if (magic != 0xfd2fb528) return ZSTD_MAGIC
  if (there < 5) return missing()
  const descriptor: u32 = load<u8>(inputPosition, 4)
  if (descriptor & 8) return ZSTD_FRAME_HEADER
  const singleSegment = (descriptor >> 5) & 1
  const dictionaryBytes: usize = (1 << (descriptor & 3)) >> 1
  const sizeFlag = descriptor >> 6
  const sizeBytes: usize = sizeFlag ? 1 << sizeFlag : singleSegment
  const headerBytes: usize = 5 + (1 - singleSegment) + dictionaryBytes + sizeBytes
  if (there < headerBytes) return missing()

  let at = inputPosition + 5
  let window: u64 = 0
  if (!singleSegment) {
    const byte: u64 = load<u8>(at)
    at++
    const base = <u64>1 << (10 + (byte >> 3))
    window = base + (base >> 3) * (byte & 7)
  }
  if (dictionaryBytes && load<u32>(at) << (32 - (<u32>dictionaryBytes << 3))) return ZSTD_DICTIONARY
  at += dictionaryBytes
  sizeKnown = sizeBytes > 0
  contentSize = load<u64>(at)
  if (sizeBytes < 8) contentSize &= (<u64>1 << (<u64>sizeBytes << 3)) - 1
  if (sizeBytes == 2) contentSize += 256
  if (singleSegment) window = contentSize
  if (window > WINDOW_MAX) return ZSTD_WINDOW
  blockMax = <usize>min(window, BLOCK_MAX)
  // A window larger than the content is never filled.
  if (sizeKnown) window = min(window, contentSize)
  if (!openWindow(<usize>window)) return ZSTD_MEMORY

  setInputPosition(inputPosition + headerBytes)
  checksum = <bool>((descriptor >> 2) & 1)
  contentDone = 0
  if (checksum) xxhStart()
  blocksReset()
  sequencesReset()
  any = true
  state = BLOCK
  return CONTINUE
}

function skip(): i32 {
  const length = min(toSkip, available())
  setInputPosition(inputPosition + length)
  toSkip -= length
  if (toSkip) return missing()
  any = true
  state = MAGIC
  return CONTINUE
}

function block(): i32 {
  const there = available()
  if (there < 3) return missing()
  const header = load<u32>(inputPosition)
  const type = (header >> 1) & 3
  const size: usize = (header >> 3) & 0x1fffff
  if (type == 3) return ZSTD_BLOCK_TYPE
  if (size > blockMax || (type == 2 && !size)) return ZSTD_BLOCK_SIZE
  const bytes: usize = 3 + (type == 1 ? 1 : size)
  if (there < bytes) return missing()

  openBlock(blockMax)
  const from = inputPosition + 3
  const start = output
  if (type == 2) {
    const result = compressedBlock(from, from + size, blockMax, start + blockMax)
    if (result != CONTINUE) return result
  } else {
    if (type == 1) memory.fill(start, load<u8>(from), size)
    else memory.copy(start, from, size)
    setOutputPosition(start + size)
  }
  const length = output - start
  contentDone += length
  if (sizeKnown && contentDone > contentSize) return ZSTD_CONTENT_SIZE
  if (checksum) xxhUpdate(start, length)
  setInputPosition(inputPosition + bytes)
  if (header & 1) {
    if (sizeKnown && contentDone != contentSize) return ZSTD_CONTENT_SIZE
    state = checksum ? CHECKSUM : MAGIC
  }
  if (!length) return CONTINUE
  setOutput(start, output)
  return OUTPUT
}

function verify(): i32 {
  if (available() < 4) return missing()
  if (load<u32>(inputPosition) != <u32>xxhDigest()) return ZSTD_CHECKSUM
  setInputPosition(inputPosition + 4)
  state = MAGIC
  return CONTINUE
}
