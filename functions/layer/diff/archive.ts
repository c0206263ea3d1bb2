/** Changes as a layer's archive: pax (POSIX.1-2001), with nothing in it that two runs over one tree would not share. */
import { closeSync, readSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { checkAborted } from '../../kit/abort.ts'
import type { Time } from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import type { FileKind, WalkEntry } from '../../linux/walk.ts'
import { isOfLayers } from '../xattr.ts'
import { openBelow, type Change } from './changes.ts'

const BLOCK = 512
const CHUNK = 1 << 18
const NAME = 100
/** The most that an octal field of seven digits holds. */
const SHORT = 0o7777777
const LONG = 0o77777777777
const FLAGS: Readonly<Record<Exclude<FileKind, 'socket'>, string>> = {
  file: '0',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}
const LINK = '1'
const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'

/** The archive's bytes; sockets are left out, which no archive can hold. */
export async function* archiveOf(
  changes: Iterable<Change>,
  root: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const change of changes) {
    checkAborted(signal)
    if (change.kind === 'deleted') yield* member({ path: whiteoutOf(change.path), flag: FLAGS.file })
    else if (change.kind === 'opaque') yield* member({ path: `${change.path}/${OPAQUE}`, flag: FLAGS.file })
    else if (change.kind === 'linked') yield* member({ ...metaOf(change.entry), flag: LINK, target: change.to })
    else if (change.entry.kind !== 'socket') {
      const { entry } = change
      yield* member({ ...metaOf(entry), flag: FLAGS[change.entry.kind] })
      if (entry.kind === 'file') yield* contentOf(entry, root, signal)
    }
  }
  yield new Uint8Array(2 * BLOCK)
}

/** What a header says; names and values are byte strings. */
interface Member {
  path: string
  flag: string
  target?: string
  mode?: number
  uid?: number
  gid?: number
  size?: number
  mtime?: Time
  major?: number
  minor?: number
  xattrs?: readonly (readonly [string, string])[]
}

function metaOf({
  path,
  kind,
  mode,
  uid,
  gid,
  mtime,
  target,
  major,
  minor,
  size,
  xattrs,
}: WalkEntry): Omit<Member, 'flag'> {
  const device = kind === 'char' || kind === 'block' ? { major, minor } : {}
  return {
    path: kind === 'directory' ? `${path}/` : path,
    mode,
    uid,
    gid,
    mtime,
    ...device,
    ...(target === undefined ? {} : { target }),
    ...(kind === 'file' ? { size } : {}),
    xattrs: xattrs.filter(([name]) => isOfLayers(name)),
  }
}

function whiteoutOf(path: string): string {
  const slash = path.lastIndexOf('/') + 1
  return `${path.slice(0, slash)}${WHITEOUT}${path.slice(slash)}`
}

function* member(wanted: Member): Generator<Uint8Array> {
  // A link has no content of its own.
  const one = wanted.flag === LINK ? { ...wanted, size: 0 } : wanted
  const records = recordsOf(one).map(([key, value]) => record(key, value))
  if (records.length > 0) {
    const body = Buffer.from(records.join(''), 'latin1')
    yield header({ path: 'PaxHeaders.0/x', flag: 'x', size: body.length })
    yield padded(body)
  }
  yield header(one)
}

/** What the header's own fields cannot hold. */
function recordsOf({ path, target = '', uid = 0, gid = 0, size = 0, mtime, xattrs = [] }: Member): [string, string][] {
  const records: [string, string][] = []
  if (isOdd(path)) records.push(['path', path])
  if (isOdd(target)) records.push(['linkpath', target])
  if (uid > SHORT) records.push(['uid', String(uid)])
  if (gid > SHORT) records.push(['gid', String(gid)])
  if (size > LONG) records.push(['size', String(size)])
  if (mtime !== undefined && (mtime.nanoseconds !== 0 || mtime.seconds < 0 || mtime.seconds > LONG)) {
    records.push(['mtime', decimal(mtime)])
  }
  for (const [name, value] of xattrs) records.push([`SCHILY.xattr.${name}`, value])
  return records
}

function isOdd(name: string): boolean {
  return name.length > NAME || /[^ -~]/.test(name)
}

/** A time as a decimal of seconds; before 1970 the fraction counts down from the next second. */
function decimal({ seconds, nanoseconds }: Time): string {
  const down = seconds < 0 && nanoseconds > 0
  const whole = down ? -seconds - 1 : Math.abs(seconds)
  const fraction = String(down ? 1_000_000_000 - nanoseconds : nanoseconds).padStart(9, '0')
  return `${seconds < 0 ? '-' : ''}${whole}${nanoseconds === 0 ? '' : `.${fraction}`}`
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits too. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}

function header(one: Member): Uint8Array {
  const { path, flag, target = '', mode = 0, uid = 0, gid = 0, size = 0, mtime, major = 0, minor = 0 } = one
  const block = Buffer.alloc(BLOCK)
  const seconds = Math.min(Math.max(mtime?.seconds ?? 0, 0), LONG)
  const put = (at: number, text: string): void => void block.write(text, at, 'latin1')
  const octal = (at: number, digits: number, value: number): void => put(at, value.toString(8).padStart(digits, '0'))
  put(0, path.slice(0, NAME))
  octal(100, 7, mode)
  octal(108, 7, Math.min(uid, SHORT))
  octal(116, 7, Math.min(gid, SHORT))
  octal(124, 11, Math.min(size, LONG))
  octal(136, 11, seconds)
  put(148, ' '.repeat(8))
  put(156, flag)
  put(157, target.slice(0, NAME))
  put(257, 'ustar\u000000')
  octal(329, 7, major)
  octal(337, 7, minor)
  octal(
    148,
    6,
    block.reduce((sum, byte) => sum + byte, 0),
  )
  put(154, '\0')
  return block
}

function padded(body: Buffer): Uint8Array {
  return Buffer.concat([body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)])
}

async function* contentOf({ path, size }: WalkEntry, root: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const fd = openBelow(root, path)
  try {
    let left = size
    while (left > 0) {
      checkAborted(signal)
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK, left))
      const length = readSync(fd, chunk)
      if (length === 0) break
      left -= length
      yield chunk.subarray(0, length)
    }
    if (left > 0) {
      throw new LayercastError('SYSTEM_CALL_FAILED', `${fromByteString(path)} became shorter while it was read`, {
        fix: 'Run again; something else writes to the snapshot.',
        detail: { path: fromByteString(path) },
      })
    }
    yield new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK)
  } finally {
    closeSync(fd)
  }
}
