/** Writes tar archives (POSIX.1-2001 pax, GNU and ustar) for tests, with every kind of member and the wrong ones too. */
import type { TarEntry, TarFormat } from './entries.ts'

const BLOCK = 512
const FLAGS = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', dir: '5', fifo: '6', sparse: 'S' }
const utf8 = new TextEncoder()

type Member = Exclude<TarEntry, { type: 'raw' }>

interface Header {
  path: Uint8Array
  target: Uint8Array
  flag: string
  mode: number
  uid: number
  gid: number
  uname: string
  gname: string
  size: number
  mtime: number
  major: number
  minor: number
  gnu: boolean
  prefix?: Uint8Array
}

/** The archive's bytes: the entries in order and two zero blocks at the end. */
export function writeTar(entries: readonly TarEntry[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    if (entry.type === 'raw') parts.push(entry.data)
    else parts.push(...member(entry))
  }
  parts.push(new Uint8Array(2 * BLOCK))
  return Buffer.concat(parts)
}

function* member(entry: Member): Generator<Uint8Array> {
  const format = entry.format ?? 'pax'
  const name = entry.type === 'dir' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path
  const path = utf8.encode(name)
  const target = utf8.encode('target' in entry ? (entry.target ?? '') : '')
  const body = content(entry)
  const mtime = entry.mtime ?? 0
  const header: Header = {
    path,
    target,
    flag: entry.type === 'other' ? entry.flag : FLAGS[entry.type],
    mode: entry.mode ?? defaultMode(entry),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    uname: entry.uname ?? '',
    gname: entry.gname ?? '',
    size: body.length,
    mtime: Math.max(0, Math.floor(mtime)),
    major: 'major' in entry ? entry.major : 0,
    minor: 'minor' in entry ? entry.minor : 0,
    gnu: format === 'gnu' || entry.type === 'sparse',
  }
  const records = paxRecords(entry, header, format)
  if (records.length > 0) {
    yield* block({ ...plain('PaxHeaders.0/x', 'x'), size: records.length }, records)
  }
  if (format === 'gnu') {
    if (target.length > 100) yield* longName('K', target)
    if (path.length > 100) yield* longName('L', path)
  }
  if (format === 'ustar') splitName(header)
  yield* block(header, body, entry.type === 'sparse' ? entry : undefined)
}

const plain = (name: string, flag: string): Header => ({
  path: utf8.encode(name),
  target: new Uint8Array(),
  flag,
  mode: 0o644,
  uid: 0,
  gid: 0,
  uname: '',
  gname: '',
  size: 0,
  mtime: 0,
  major: 0,
  minor: 0,
  gnu: false,
})

function defaultMode(entry: Member): number {
  if (entry.type === 'dir') return 0o755
  return entry.type === 'symlink' ? 0o777 : 0o644
}

function content(entry: Member): Uint8Array {
  if (entry.type === 'sparse') return Buffer.concat(entry.pieces.map((piece) => piece.data))
  return 'data' in entry ? (entry.data ?? new Uint8Array()) : new Uint8Array()
}

function* longName(flag: 'K' | 'L', name: Uint8Array): Generator<Uint8Array> {
  const body = Buffer.concat([name, new Uint8Array(1)])
  yield* block({ ...plain('././@LongLink', flag), gnu: true, size: body.length }, body)
}

/** ustar's own way with long names: the part before a slash goes into the prefix field. */
function splitName(header: Header): void {
  const { path } = header
  if (path.length <= 100) return
  const cut = path.findIndex((byte, at) => byte === 0x2f && at <= 155 && path.length - at - 1 <= 100)
  if (cut < 0) throw new Error('a ustar header cannot hold this name')
  header.prefix = path.subarray(0, cut)
  header.path = path.subarray(cut + 1)
}

function paxRecords(entry: Member, header: Header, format: TarFormat): Uint8Array {
  const records: [string, Uint8Array][] = []
  const add = (key: string, value: string | Uint8Array): void => {
    records.push([key, typeof value === 'string' ? utf8.encode(value) : value])
  }
  if (format === 'pax') {
    if (header.path.length > 100 || isOdd(header.path)) add('path', header.path)
    if (header.target.length > 100 || isOdd(header.target)) add('linkpath', header.target)
    if (header.uid > 0o7777777) add('uid', String(header.uid))
    if (header.gid > 0o7777777) add('gid', String(header.gid))
    const mtime = entry.mtime ?? 0
    if (mtime < 0 || !Number.isInteger(mtime) || mtime > 0o77777777777) add('mtime', String(mtime))
  }
  for (const [key, value] of Object.entries(entry.xattrs ?? {})) add(`SCHILY.xattr.${key}`, value)
  for (const [key, value] of Object.entries(entry.pax ?? {})) add(key, value)
  return Buffer.concat(records.map(([key, value]) => paxRecord(key, value)))
}

const isOdd = (name: Uint8Array): boolean => name.some((byte) => byte > 0x7e)

/** One record, `LENGTH KEY=VALUE\n`; the length counts its own digits. */
export function paxRecord(key: string, value: Uint8Array): Uint8Array {
  const rest = Buffer.concat([utf8.encode(` ${key}=`), value, utf8.encode('\n')])
  let length = rest.length + String(rest.length).length
  if (String(length).length + rest.length !== length) length = rest.length + String(length).length
  return Buffer.concat([utf8.encode(String(length)), rest])
}

function* block(
  header: Header,
  body: Uint8Array,
  sparse?: Extract<TarEntry, { type: 'sparse' }>,
): Generator<Uint8Array> {
  const out = new Uint8Array(BLOCK)
  const text = (value: string | Uint8Array, at: number, size: number): void => {
    out.set((typeof value === 'string' ? utf8.encode(value) : value).subarray(0, size), at)
  }
  const number = (value: number, at: number, size: number): void => {
    const digits = value.toString(8)
    if (digits.length < size) text(digits.padStart(size - 1, '0'), at, size - 1)
    else if (header.gnu) base256(value, out.subarray(at, at + size))
    // A PAX record holds the value; the field is left at its largest.
    else text('7'.repeat(size - 1), at, size - 1)
  }
  text(header.path, 0, 100)
  number(header.mode, 100, 8)
  number(header.uid, 108, 8)
  number(header.gid, 116, 8)
  number(header.size, 124, 12)
  number(header.mtime, 136, 12)
  text(header.flag, 156, 1)
  text(header.target, 157, 100)
  text(header.gnu ? 'ustar  ' : 'ustar\u000000', 257, 8)
  text(header.uname, 265, 32)
  text(header.gname, 297, 32)
  number(header.major, 329, 8)
  number(header.minor, 337, 8)
  if (sparse) {
    // An empty piece at the end says how far the last hole reaches.
    for (const [n, piece] of [...sparse.pieces, { offset: sparse.size, data: new Uint8Array() }].entries()) {
      number(piece.offset, 386 + n * 24, 12)
      number(piece.data.length, 398 + n * 24, 12)
    }
    number(sparse.size, 483, 12)
  } else if (header.prefix) text(header.prefix, 345, 155)
  out.set(checksum(out), 148)
  yield out
  yield body
  yield new Uint8Array((BLOCK - (body.length % BLOCK)) % BLOCK)
}

function base256(value: number, field: Uint8Array): void {
  let rest = value
  for (let at = field.length - 1; at > 0; at--) {
    field[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
  field[0] = 0x80
}

function checksum(header: Uint8Array): Uint8Array {
  let sum = 8 * 0x20
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += header[at] ?? 0
  return utf8.encode(`${sum.toString(8).padStart(6, '0')}\0 `)
}
