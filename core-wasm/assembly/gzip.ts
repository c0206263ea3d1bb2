// gzip (RFC 1952): members one after another, each with its header, its deflate stream, its CRC-32 and its length.
import { crc32 } from './crc32'
import { inflate, inflateNext, inflateReset, nextStep, output } from './inflate'
import { inputEnd, inputEnded, inputPosition, resetStream, setInputPosition, setOutput } from './stream'
import {
  CONTINUE, DONE, GZIP_CRC, GZIP_FLAGS, GZIP_HEADER_CRC, GZIP_MAGIC, GZIP_METHOD, GZIP_SIZE, GZIP_TRAILING_GARBAGE,
  GZIP_TRUNCATED, NEED_INPUT, OUTPUT,
} from './status'

const FHCRC: u32 = 2
const FEXTRA: u32 = 4
const FNAME: u32 = 8
const FCOMMENT: u32 = 16
const RESERVED: u32 = 0xe0

const MEMBER = 0
const EXTRA_LENGTH = 1
const EXTRA = 2
const NAME = 3
const COMMENT = 4
const HEADER_CRC = 5
const BODY = 6
const TRAILER = 7
const PADDING = 8

let state: i32 = MEMBER
let first: bool = true
let flags: u32 = 0
let extra: usize = 0
let headerCRC: u32 = 0
let dataCRC: u32 = 0
let dataSize: u32 = 0
/** Whether the present output is of a member that has gone wrong: nothing more comes. */
let failure: i32 = CONTINUE

export function gzipStart(): void {
  resetStream()
  inflateReset()
  state = MEMBER
  first = true
  failure = CONTINUE
}

/** One short piece of work: OUTPUT (take it), NEED_INPUT, DONE, or what is wrong. */
export function gzipStep(): i32 {
  if (failure != CONTINUE) return failure
  while (true) {
    let result: i32
    if (state == BODY) result = body()
    else if (state == TRAILER) result = trailer()
    else if (state == PADDING) result = padding()
    else result = header()
    if (result >= GZIP_MAGIC) failure = result
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
  return inputEnded ? GZIP_TRUNCATED : NEED_INPUT
}

/** Passes over header bytes, which the header's own CRC covers. */
function take(length: usize): void {
  if (flags & FHCRC) headerCRC = crc32(headerCRC, inputPosition, length)
  setInputPosition(inputPosition + length)
}

function header(): i32 {
  if (state == MEMBER) return memberStart()
  if (state == EXTRA_LENGTH) {
    if (!(flags & FEXTRA)) {
      state = NAME
      return CONTINUE
    }
    if (available() < 2) return missing()
    extra = load<u16>(inputPosition)
    take(2)
    state = EXTRA
  }
  if (state == EXTRA) {
    const length = min(extra, available())
    take(length)
    extra -= length
    if (extra) return missing()
    state = NAME
  }
  if (state == NAME) {
    if (flags & FNAME && !text()) return missing()
    state = COMMENT
  }
  if (state == COMMENT) {
    if (flags & FCOMMENT && !text()) return missing()
    state = HEADER_CRC
  }
  if (flags & FHCRC) {
    if (available() < 2) return missing()
    if (load<u16>(inputPosition) != <u16>headerCRC) return GZIP_HEADER_CRC
    setInputPosition(inputPosition + 2)
  }
  dataCRC = 0
  dataSize = 0
  inflateNext()
  state = BODY
  return CONTINUE
}

function memberStart(): i32 {
  const there = available()
  if (!first) {
    if (!there) return inputEnded ? DONE : NEED_INPUT
    if (!load<u8>(inputPosition)) {
      state = PADDING
      return CONTINUE
    }
  }
  const wrong = first ? GZIP_MAGIC : GZIP_TRAILING_GARBAGE
  if (there >= 1 && load<u8>(inputPosition) != 0x1f) return wrong
  if (there >= 2 && load<u8>(inputPosition, 1) != 0x8b) return wrong
  if (there < 10) return missing()
  if (load<u8>(inputPosition, 2) != 8) return GZIP_METHOD
  flags = load<u8>(inputPosition, 3)
  if (flags & RESERVED) return GZIP_FLAGS
  headerCRC = 0
  take(10)
  first = false
  state = EXTRA_LENGTH
  return CONTINUE
}

/** Passes over a text that ends with a zero byte. */
function text(): bool {
  let position = inputPosition
  while (position < inputEnd) {
    if (!load<u8>(position++)) {
      take(position - inputPosition)
      return true
    }
  }
  take(position - inputPosition)
  return false
}

function body(): i32 {
  nextStep()
  const start = output
  const result = inflate()
  if (result >= GZIP_MAGIC) return result
  if (result == DONE) state = TRAILER
  const length = output - start
  if (length) {
    dataCRC = crc32(dataCRC, start, length)
    dataSize += <u32>length
    setOutput(start, output)
    return OUTPUT
  }
  return result == NEED_INPUT ? NEED_INPUT : CONTINUE
}

function trailer(): i32 {
  if (available() < 8) return missing()
  if (load<u32>(inputPosition) != dataCRC) return GZIP_CRC
  if (load<u32>(inputPosition, 4) != dataSize) return GZIP_SIZE
  setInputPosition(inputPosition + 8)
  state = MEMBER
  return CONTINUE
}

/** Zeros after the last member, as tape blocks have them. Nothing else may follow. */
function padding(): i32 {
  let position = inputPosition
  while (position < inputEnd) if (load<u8>(position++)) return GZIP_TRAILING_GARBAGE
  setInputPosition(position)
  return inputEnded ? DONE : NEED_INPUT
}
