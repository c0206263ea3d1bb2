/** What the tests of the core share: samples, and running a decoder to its end. */
import { deflateSync } from 'fflate'
import { CoreError, type CoreCode, type Decoder } from '../../../core-wasm/core.ts'

/** What a decoder says of an input: what came out, or why it was refused. */
export type Verdict = { bytes: Uint8Array } | { code: CoreCode }

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Decodes chunks to the end, copying what is yielded. */
export function decode(decoder: Decoder, chunks: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = []
  try {
    for (const chunk of chunks) for (const view of decoder.write(chunk)) parts.push(view.slice())
    for (const view of decoder.end()) parts.push(view.slice())
  } finally {
    decoder.free()
  }
  return concat(parts)
}

export function verdict(decoder: Decoder, chunks: Iterable<Uint8Array>): Verdict {
  try {
    return { bytes: decode(decoder, chunks) }
  } catch (error) {
    if (error instanceof CoreError) return { code: error.code }
    throw error
  }
}

/** Cuts data into pieces of these sizes, over and over. */
export function* cut(data: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < data.length; i++) {
    const size = sizes[i % sizes.length] ?? data.length
    yield data.subarray(at, at + size)
    at += size
  }
}

export function bytes(...values: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values)
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}

export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function unhex(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array((text.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)))
}

/** Numbers from 0 to below 2 ** 32 that are the same every time (an LCG; its upper bits are good enough). */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.imul(state ^ (state >>> 16), 0x45d9f3b) >>> 0
  }
}

/** Text of words, which compresses about as well as text does. */
export function prose(length: number, seed = 1, vocabulary = 400): Uint8Array<ArrayBuffer> {
  const next = generator(seed)
  const words = Array.from({ length: vocabulary }, () =>
    Array.from({ length: 2 + (next() % 8) }, () => String.fromCharCode(97 + (next() % 26))).join(''),
  )
  const out = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const rank = Math.min(next() % vocabulary, next() % vocabulary)
    const word = utf8(`${words[rank]}${next() % 12 === 0 ? '.\n' : ' '}`)
    out.set(word.subarray(0, length - at), at)
    at += word.length
  }
  return out
}

/** CRC-32 as RFC 1952 §8 defines it, bit by bit. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

function little(value: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 255)
}

export interface Member {
  data?: Uint8Array
  /** The deflate stream, where it shall not be a right one. */
  deflated?: Uint8Array
  method?: number
  reserved?: number
  extra?: Uint8Array
  name?: string
  comment?: string
  headerCRC?: boolean | number
  crc?: number
  size?: number
}

/** A gzip member, field by field (RFC 1952 §2.3). */
export function gzipMember(member: Member): Uint8Array<ArrayBuffer> {
  const data = member.data ?? new Uint8Array()
  const has = (field: unknown, bit: number): number => (field === undefined || field === false ? 0 : bit)
  const flags =
    has(member.headerCRC, 2) |
    has(member.extra, 4) |
    has(member.name, 8) |
    has(member.comment, 16) |
    (member.reserved ?? 0)
  const header = concat([
    bytes(0x1f, 0x8b, member.method ?? 8, flags, 1, 2, 3, 4, 0, 255),
    ...(member.extra === undefined ? [] : [little(member.extra.length, 2), member.extra]),
    ...(member.name === undefined ? [] : [utf8(`${member.name}\0`)]),
    ...(member.comment === undefined ? [] : [utf8(`${member.comment}\0`)]),
  ])
  const headerCRC = typeof member.headerCRC === 'number' ? member.headerCRC : crc32(header) & 0xffff
  return concat([
    header,
    has(member.headerCRC, 2) ? little(headerCRC, 2) : bytes(),
    member.deflated ?? deflateSync(data),
    little(member.crc ?? crc32(data), 4),
    little(member.size ?? data.length, 4),
  ])
}

export interface Frame {
  /** The frame header's bytes after the magic number. */
  header: Uint8Array
  blocks: Uint8Array
  checksum?: Uint8Array
}

/** A zstd frame, field by field (RFC 8878 §3.1.1). */
export function zstdFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  return concat([bytes(0x28, 0xb5, 0x2f, 0xfd), frame.header, frame.blocks, frame.checksum ?? bytes()])
}

/** A block's header and content; `type` 0 raw, 1 one byte repeated, 2 compressed. */
export function zstdBlock(type: number, size: number, content: Uint8Array, last = false): Uint8Array {
  return concat([little((last ? 1 : 0) + type * 2 + size * 8, 3), content])
}

export function skippable(content: Uint8Array, nibble = 0): Uint8Array {
  return concat([bytes(0x50 + nibble, 0x2a, 0x4d, 0x18), little(content.length, 4), content])
}

/** Comparing megabytes with toEqual takes seconds. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** Bits in the order of the stream, as deflate packs them into bytes; blanks are for the reader. */
export function packed(bits: string): Uint8Array<ArrayBuffer> {
  const digits = bits.replaceAll(' ', '')
  return Uint8Array.from({ length: Math.ceil(digits.length / 8) }, (_, i) =>
    Array.from(digits.slice(i * 8, i * 8 + 8)).reduce((byte, digit, k) => byte | (Number(digit) << k), 0),
  )
}

/** Data of several kinds, the same every time: what the zstd fixtures hold, and what the fuzzer starts from. */
export const SAMPLES = {
  prose: (length) => prose(length, 1, 400),
  fewWords: (length) => prose(length, 2, 8),
  zeros: (length) => new Uint8Array(length),
  periodic: (length) => sampled(length, (i, next) => (i % 97 === 0 ? next() : i % 13)),
  noise: (length) => sampled(length, (_, next) => next()),
  skewed: (length) => sampled(length, (_, next) => Math.min(next() & 255, next() & 255, next() & 255) >> 3),
  records: (length) => sampled(length, (i, next) => (i % 16 < 12 ? i % 16 : next() & 3)),
} as const satisfies Record<string, (length: number) => Uint8Array<ArrayBuffer>>

export type Sample = keyof typeof SAMPLES

function sampled(length: number, byte: (i: number, next: () => number) => number): Uint8Array<ArrayBuffer> {
  const next = generator(7)
  return Uint8Array.from({ length }, (_, i) => byte(i, next))
}
