/**
 * Headers of tar members (POSIX.1-2001, GNU tar and old ustar), as far as finding files in an archive takes: names, kinds
 * and sizes. A layer's own tar is the applier's business.
 */

export const BLOCK = 512
const MAX_RECORDS = 10_000

export interface TarHeader {
  name: string
  /** The type flag. */
  flag: string
  /** In bytes. */
  size: number
  link: string
}

/** What was wrong with an archive; whoever reads it says which one. */
export class TarError extends Error {
  override readonly name = 'TarError'
}

/** A header block; undefined for the block of zeroes that ends an archive. Throws TarError. */
export function parseHeader(block: Uint8Array): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  let sum = 8 * 0x20
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0
  if (parseNumber(block.subarray(148, 156)) !== sum) throw new TarError('has a header with a wrong checksum')
  const posix = text(block.subarray(257, 263)) === 'ustar'
  const prefix = posix ? text(block.subarray(345, 500)) : ''
  const name = text(block.subarray(0, 100))
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    flag: String.fromCharCode(block[156] || 0x30),
    size: parseNumber(block.subarray(124, 136)),
    link: text(block.subarray(157, 257)),
  }
}

/** The records of a PAX header, later ones over earlier ones. Throws TarError. */
export function parsePax(data: Uint8Array): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0, count = 0; at < data.length; count++) {
    const space = data.indexOf(0x20, at)
    const digits = space < 0 ? '' : latin1(data.subarray(at, space))
    const length = /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : 0
    const record = data.subarray(space + 1, at + length)
    const equals = record.indexOf(0x3d)
    if (length === 0 || at + length > data.length || equals < 1 || record.at(-1) !== 0x0a || count > MAX_RECORDS) {
      throw new TarError('has a damaged PAX record')
    }
    records.set(utf8(record.subarray(0, equals)), utf8(record.subarray(equals + 1, -1)))
    at += length
  }
  return records
}

/** A name that GNU tar put into a member of its own. */
export function parseLongName(data: Uint8Array): string {
  return text(data)
}

/** A size given in a PAX record. Throws TarError. */
export function parseDecimal(digits: string): number {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new TarError(`has a member of the size ${digits.slice(0, 40)}`)
  return value
}

/** Octal digits, or base 256 where the first bit is set. */
function parseNumber(field: Uint8Array): number {
  let value = 0
  if (((field[0] ?? 0) & 0x80) === 0) {
    const digits = text(field).trim()
    if (!/^[0-7]*$/.test(digits)) throw new TarError('has a header with a damaged number')
    value = digits === '' ? 0 : Number.parseInt(digits, 8)
  } else {
    value = (field[0] ?? 0) & 0x7f
    for (const byte of field.subarray(1)) value = value * 256 + byte
  }
  if (!Number.isSafeInteger(value)) throw new TarError('has a header with a number that is too large')
  return value
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0)
  return utf8(end < 0 ? field : field.subarray(0, end))
}

const utf8 = (data: Uint8Array): string => new TextDecoder().decode(data)
const latin1 = (data: Uint8Array): string => Buffer.from(data).toString('latin1')
