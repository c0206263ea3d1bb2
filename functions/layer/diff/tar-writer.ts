/** Members of a pax archive (POSIX.1-2001): a ustar header, with a PAX header before it where that cannot hold all. */
import type { Time } from '../../linux/at.ts'
import { BLOCK } from '../read/tar-header.ts'
import { paddingOf } from '../read/tar-member.ts'

/** The type flag of a hard link. */
export const LINK = '1'

const NAME = 100
/** The most that an octal field of seven digits holds. */
const SHORT = 0o7777777
/** The most that one of eleven digits holds. */
const LONG = 0o77777777777

/** What a header says; names and values are byte strings. */
export interface Member {
  path: string
  flag: string
  target?: string | undefined
  mode?: number | undefined
  uid?: number | undefined
  gid?: number | undefined
  size?: number | undefined
  mtime?: Time | undefined
  major?: number | undefined
  minor?: number | undefined
  xattrs?: readonly (readonly [string, string])[] | undefined
}

/** The blocks before a member's data. */
export function* memberHeader(wanted: Member): Generator<Uint8Array> {
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
  return Buffer.concat([body, Buffer.alloc(paddingOf(body.length))])
}
