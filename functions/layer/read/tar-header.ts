/**
 * One header block of a tar archive (POSIX.1-1988 ustar, GNU, star and v7), read as Go's archive/tar does, which is
 * what containerd accepts. Names are byte strings (linux/bytes.ts).
 */
import { LayercastError } from '../../errors.ts'
import { SUSPECT_FIX } from '../../image/blob-fixes.ts'
import type { Time } from '../../linux/at.ts'

export const BLOCK = 512

/** What a header block says, before extended headers change it. */
export interface RawHeader {
  format: 'v7' | 'ustar' | 'star' | 'gnu'
  /** The type flag's character. */
  type: string
  name: string
  link: string
  mode: number
  uid: number
  gid: number
  size: number
  major: number
  minor: number
  mtime: Time
  atime: Time | undefined
}

export function corrupt(message: string, detail: Record<string, unknown> = {}): LayercastError {
  return new LayercastError('LAYER_CORRUPT', message, {
    detail,
    fix: SUSPECT_FIX,
  })
}

/** Whether a block is zeros only; two of them end an archive. */
export function isZero(block: Buffer): boolean {
  return block[0] === 0 && block.equals(ZERO)
}

const ZERO = Buffer.alloc(BLOCK)

/** A field up to its first NUL. */
function readString(block: Buffer, start: number, length: number): string {
  const end = block.indexOf(0, start)
  return block.toString('latin1', start, end === -1 || end > start + length ? start + length : end)
}

/**
 * A number in octal, or in base 256 when its first bit is set. LAYER_CORRUPT when it is neither, or has over 64 bits;
 * beyond 2^53 it is rounded, which no limit lets pass.
 */
export function readNumber(block: Buffer, start: number, length: number, what: string): number {
  const value = parseNumber(block, start, length)
  if (value === undefined) throw corrupt(`the header's ${what} is no number`)
  return value
}

function parseNumber(block: Buffer, start: number, length: number): number | undefined {
  if (((block[start] ?? 0) & 0x80) !== 0) return parseBase256(block, start, length)
  const text = trim(block.toString('latin1', start, start + length))
  const nul = text.indexOf('\0')
  const digits = nul === -1 ? text : text.slice(0, nul)
  if (digits === '') return text === '' ? 0 : undefined
  if (!/^[0-7]+$/.test(digits)) return undefined
  return Number.parseInt(digits, 8)
}

// Two's complement, big-endian, without the first bit.
function parseBase256(block: Buffer, start: number, length: number): number | undefined {
  const first = block[start] ?? 0
  const negative = (first & 0x40) !== 0
  let value = BigInt(negative ? (first & 0x7f) - 0x80 : first & 0x7f)
  for (let index = start + 1; index < start + length; index++) value = (value << 8n) | BigInt(block[index] ?? 0)
  return fitsInt64(value) ? Number(value) : undefined
}

/** Whether a whole number is one of Go's int64. */
export function fitsInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value
}

function trim(text: string): string {
  let [start, end] = [0, text.length]
  while (start < end && isBlank(text, start)) start++
  while (end > start && isBlank(text, end - 1)) end--
  return text.slice(start, end)
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code === 0x20 || code === 0
}

// Some writers summed signed bytes; both sums are accepted. The field itself counts as spaces.
function checksumMatches(block: Buffer): boolean {
  let unsigned = 0
  let high = 0
  for (let index = 0; index < BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0)
    unsigned += byte
    if (byte > 127) high++
  }
  const stated = parseOctal(block, 148, 8)
  return stated === unsigned || stated === unsigned - 256 * high
}

function parseOctal(block: Buffer, start: number, length: number): number | undefined {
  return ((block[start] ?? 0) & 0x80) === 0 ? parseNumber(block, start, length) : undefined
}

function formatOf(block: Buffer): RawHeader['format'] {
  const magic = block.toString('latin1', 257, 263)
  if (magic === 'ustar\0') return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar'
  return magic === 'ustar ' && block.toString('latin1', 263, 265) === ' \0' ? 'gnu' : 'v7'
}

/** Reads a header block. LAYER_CORRUPT when its checksum is wrong or a number is none. */
export function readTarHeader(block: Buffer): RawHeader {
  if (!checksumMatches(block)) throw corrupt('a header has a wrong checksum')
  const header: RawHeader = {
    format: formatOf(block),
    type: String.fromCharCode(block[156] ?? 0),
    name: readString(block, 0, 100),
    mode: readNumber(block, 100, 8, 'mode'),
    uid: readNumber(block, 108, 8, 'owner'),
    gid: readNumber(block, 116, 8, 'group'),
    size: readNumber(block, 124, 12, 'size'),
    mtime: { seconds: readNumber(block, 136, 12, 'time'), nanoseconds: 0 },
    link: readString(block, 157, 100),
    atime: undefined,
    major: 0,
    minor: 0,
  }
  if (header.format === 'v7') return header
  header.major = readNumber(block, 329, 8, 'device number')
  header.minor = readNumber(block, 337, 8, 'device number')
  const prefix = readPrefix(block, header)
  if (prefix !== '') header.name = `${prefix}/${header.name}`
  return header
}

// The prefix of the name; star and GNU keep times where ustar has its end.
function readPrefix(block: Buffer, header: RawHeader): string {
  if (header.format === 'ustar') return readString(block, 345, 155)
  if (header.format === 'star') {
    header.atime = { seconds: readNumber(block, 476, 12, 'access time'), nanoseconds: 0 }
    readNumber(block, 488, 12, 'change time')
    return readString(block, 345, 131)
  }
  const atime = block[345] === 0 ? undefined : parseNumber(block, 345, 12)
  const ctime = block[357] === 0 ? 0 : parseNumber(block, 357, 12)
  if ((block[345] === 0 || atime !== undefined) && ctime !== undefined) {
    if (atime !== undefined) header.atime = { seconds: atime, nanoseconds: 0 }
    return ''
  }
  // Go before 1.8 wrote a prefix into GNU headers, over these times.
  const prefix = readString(block, 345, 155)
  // oxlint-disable-next-line no-control-regex
  return /^[\x01-\x7f]*$/.test(prefix) ? prefix : ''
}
