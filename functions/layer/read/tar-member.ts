/** One member of a tar archive: its header block, with what the extended headers before it say. */
import type { Time } from '../../linux/at.ts'
import { parsePax, paxNumber, paxTime } from './pax.ts'
import type { PaxRecords } from './pax.ts'
import { BLOCK } from './tar-header.ts'
import type { RawHeader } from './tar-header.ts'

/** One member of an archive, extended headers taken in. Names are byte strings. */
export interface TarHeader {
  /** The type flag: '0' file, '1' hard link, '2' symbolic link, '3' and '4' devices, '5' directory, '6' FIFO, ... */
  type: string
  name: string
  link: string
  mode: number
  uid: number
  gid: number
  /** Of the file once written, holes included. */
  size: number
  mtime: Time
  atime: Time | undefined
  major: number
  minor: number
  /** Name and value, as byte strings. */
  xattrs: readonly (readonly [string, string])[]
}

/** The most bytes that an extended header, or a sparse map, may take, as in Go. */
export const MAX_SPECIAL = 1 << 20

const XATTR = 'SCHILY.xattr.'
const NO_RECORDS: PaxRecords = new Map()

/** Whether a member is a header that changes the next one (PAX, and GNU's long names), and no entry. */
export function isExtension(type: string): boolean {
  return type === 'x' || type === 'g' || type === 'L' || type === 'K'
}

/** Whether data may follow a header of this type; links and devices carry a size at times, and nothing behind it. */
export function hasData(type: string): boolean {
  return !(type >= '1' && type <= '6')
}

/** The bytes that fill the last block of a member's data. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/** The extended headers before a member. */
export class Extensions {
  #pax: PaxRecords = NO_RECORDS
  #longName = ''
  #longLink = ''

  /** The records of the last PAX header. */
  get pax(): PaxRecords {
    return this.#pax
  }

  /** Takes the body of an extended header. LAYER_CORRUPT. */
  add(type: string, body: Buffer): void {
    if (type === 'L') this.#longName = untilNul(body)
    else if (type === 'K') this.#longLink = untilNul(body)
    else this.#pax = parsePax(body)
    // Go hands a global header out as an entry of its own, and with it forgets what came before.
    if (type === 'g') this.#forget()
  }

  /** The member that follows. The next one starts without extended headers. LAYER_CORRUPT for numbers that are none. */
  apply(raw: RawHeader): TarHeader {
    const header = merge(raw, this.#pax)
    if (this.#longName !== '') header.name = this.#longName
    if (this.#longLink !== '') header.link = this.#longLink
    if (header.type === '\0') header.type = header.name.endsWith('/') ? '5' : '0'
    this.#forget()
    return header
  }

  #forget(): void {
    this.#pax = NO_RECORDS
    this.#longName = ''
    this.#longLink = ''
  }
}

function untilNul(bytes: Buffer): string {
  const nul = bytes.indexOf(0)
  return bytes.toString('latin1', 0, nul === -1 ? bytes.length : nul)
}

function merge(raw: RawHeader, records: PaxRecords): TarHeader {
  const header: TarHeader = {
    type: raw.type,
    name: raw.name,
    link: raw.link,
    mode: raw.mode,
    uid: raw.uid,
    gid: raw.gid,
    size: raw.size,
    mtime: raw.mtime,
    atime: raw.atime,
    major: raw.major,
    minor: raw.minor,
    xattrs: [],
  }
  if (records.size === 0) return header
  const xattrs: [string, string][] = []
  for (const [key, value] of records) {
    if (key.startsWith(XATTR)) xattrs.push([key.slice(XATTR.length), value])
    else if (value !== '') mergeRecord(header, key, value)
  }
  header.xattrs = xattrs
  return header
}

// An empty value leaves what the block says.
function mergeRecord(header: TarHeader, key: string, value: string): void {
  if (key === 'path') header.name = value
  else if (key === 'linkpath') header.link = value
  else if (key === 'uid') header.uid = paxNumber(value, 'uid')
  else if (key === 'gid') header.gid = paxNumber(value, 'gid')
  else if (key === 'size') header.size = paxNumber(value, 'size')
  else if (key === 'mtime') header.mtime = paxTime(value)
  else if (key === 'atime') header.atime = paxTime(value)
  else if (key === 'ctime') paxTime(value)
}
