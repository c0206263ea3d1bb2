/** Records of a PAX extended header (POSIX.1-2001, pax "Extended Header"), accepted as Go's archive/tar does. */
import type { Time } from '../../linux/at.ts'
import { corrupt, fitsInt64 } from './tar-header.ts'

/** Records by key. Keys and values are byte strings. A GNU sparse map 0.0 is there as 0.1 has it. */
export type PaxRecords = ReadonlyMap<string, string>

const SPARSE_MAP = 'GNU.sparse.map'
const STRINGS = new Set(['path', 'linkpath', 'uname', 'gname'])

/** Takes the records of an extended header apart; the last of a key counts. LAYER_CORRUPT. */
export function parsePax(bytes: Buffer): PaxRecords {
  const records = new Map<string, string>()
  // Version 0.0 repeats a key for each fragment, against POSIX.
  const fragments: string[] = []
  for (let at = 0; at < bytes.length;) {
    const { key, value, end } = parseRecord(bytes, at)
    at = end
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      const due = fragments.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes'
      if (key !== due || value.includes(',')) throw corrupt('the sparse map of an extended header is out of order')
      fragments.push(value)
    } else {
      records.set(key, value)
    }
  }
  if (fragments.length > 0) records.set(SPARSE_MAP, fragments.join(','))
  return records
}

function parseRecord(bytes: Buffer, at: number): { key: string; value: string; end: number } {
  const space = bytes.indexOf(0x20, at)
  const digits = space === -1 ? '' : bytes.toString('latin1', at, Math.min(space, at + 20))
  const length = /^\+?\d+$/.test(digits) ? Number(digits) : 0
  const end = at + length
  const equals = bytes.indexOf(0x3d, space)
  if (length < 5 || end > bytes.length || end <= space + 1 || bytes[end - 1] !== 0x0a) {
    throw corrupt('a record of an extended header has a wrong length', { offset: at })
  }
  if (equals === -1 || equals >= end || equals === space + 1) {
    throw corrupt('a record of an extended header has no key', { offset: at })
  }
  const key = bytes.toString('latin1', space + 1, equals)
  const value = bytes.toString('latin1', equals + 1, end - 1)
  if (STRINGS.has(key) ? value.includes('\0') : key.includes('\0')) {
    throw corrupt(`the ${JSON.stringify(key)} of an extended header holds a NUL`)
  }
  return { key, value, end }
}

/** A decimal number of 64 bits; beyond 2^53 it is rounded. LAYER_CORRUPT. */
export function paxNumber(text: string, what: string): number {
  if (text.length > 1000 || !/^[+-]?\d+$/.test(text) || !fitsInt64(BigInt(text.replace('+', '')))) {
    throw corrupt(`the extended header's ${what} is no number`, { [what]: text.slice(0, 40) })
  }
  return Number(text)
}

/** Seconds since 1970, with a fraction. LAYER_CORRUPT. */
export function paxTime(text: string): Time {
  const match = /^([+-]?\d+)(?:\.(\d*))?$/.exec(text)
  const seconds = paxNumber(match?.[1] ?? '', 'time')
  const nanoseconds = Number((match?.[2] ?? '').slice(0, 9).padEnd(9, '0'))
  if (!text.startsWith('-') || nanoseconds === 0) return { seconds, nanoseconds }
  return { seconds: seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds }
}
