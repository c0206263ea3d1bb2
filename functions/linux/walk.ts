/** Lists a directory tree as it is on the disk, without following a link out of it. */
import { createHash } from 'node:crypto'
import { closeSync, readdirSync, readSync } from 'node:fs'
import {
  AT_FDCWD,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  readlinkAt,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  statAt,
} from './at.ts'
import type { Stat } from './at.ts'
import { fromByteString, toByteString } from './bytes.ts'
import { errno, must, systemError } from './libc.ts'
import { getXattrAt, listXattrsAt } from './xattr.ts'

export type FileKind = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo' | 'socket'

export interface WalkEntry extends Omit<Stat, 'mode'> {
  /** Below the root, without a slash at either end; a byte string (bytes.ts). Empty for the root itself. */
  path: string
  kind: FileKind
  /** Permissions with setuid, setgid and sticky. */
  mode: number
  /** Of a symbolic link: a byte string. */
  target?: string
  /** Names and values as byte strings, sorted by name. */
  xattrs: readonly (readonly [string, string])[]
  /** The SHA-256 of a file's content, in hexadecimal, when asked for. */
  sha256?: string
}

export interface WalkOptions {
  /** Whether files are read and hashed. */
  contents?: boolean
}

const KINDS: Readonly<Record<number, FileKind>> = {
  [S_IFREG]: 'file',
  [S_IFDIR]: 'directory',
  [S_IFLNK]: 'symlink',
  [S_IFCHR]: 'char',
  [S_IFBLK]: 'block',
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
}

/**
 * All that is below a directory, and first the directory itself; each directory before its content, names in the order of
 * their bytes. What vanishes meanwhile is left out. SYSTEM_CALL_FAILED.
 */
export function* walk(directory: string, options: WalkOptions = {}): Generator<WalkEntry> {
  const fd = must(openAt(AT_FDCWD, toByteString(directory), O_RDONLY | O_DIRECTORY), 'openat2', directory)
  try {
    const root = describe(fd, '', '', options)
    if (root !== undefined) yield root
    yield* walkInto(fd, '', options)
  } finally {
    closeSync(fd)
  }
}

function* walkInto(fd: number, parent: string, options: WalkOptions): Generator<WalkEntry> {
  const names = readdirSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' }).sort()
  for (const name of names) {
    const path = parent === '' ? name : `${parent}/${name}`
    const entry = describe(fd, name, path, options)
    if (entry === undefined) continue
    yield entry
    if (entry.kind === 'directory') yield* walkDirectory(fd, name, path, options)
  }
}

function* walkDirectory(parentfd: number, name: string, path: string, options: WalkOptions): Generator<WalkEntry> {
  const fd = openAt(parentfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  if (fd === -errno.ENOENT || fd === -errno.ENOTDIR || fd === -errno.ELOOP) return
  must(fd, 'openat2', fromByteString(path))
  try {
    yield* walkInto(fd, path, options)
  } finally {
    closeSync(fd)
  }
}

function describe(fd: number, name: string, path: string, options: WalkOptions): WalkEntry | undefined {
  const shown = fromByteString(path)
  const stat = statAt(fd, name)
  if (stat === -errno.ENOENT) return undefined
  if (typeof stat === 'number') throw systemError('statx', stat, shown)
  const kind = KINDS[stat.mode & S_IFMT] ?? 'file'
  const entry: WalkEntry = { ...stat, path, kind, mode: stat.mode & 0o7777, xattrs: readXattrs(fd, name, shown) }
  if (kind === 'symlink') {
    const target = readlinkAt(fd, name)
    if (typeof target === 'string') entry.target = target
  }
  if (kind === 'file' && options.contents === true) entry.sha256 = hashFile(fd, name, shown)
  return entry
}

function readXattrs(fd: number, name: string, shown: string): [string, string][] {
  const names = listXattrsAt(fd, name)
  if (names === -errno.ENOENT) return []
  if (typeof names === 'number') throw systemError('llistxattr', names, shown)
  const xattrs: [string, string][] = []
  for (const attribute of names) {
    const value = getXattrAt(fd, name, attribute)
    if (typeof value === 'string') xattrs.push([attribute, value])
    else if (value !== -errno.ENODATA) throw systemError('lgetxattr', value, shown)
  }
  return xattrs
}

const block = Buffer.alloc(1 << 18)

function hashFile(parentfd: number, name: string, shown: string): string {
  const fd = must(openAt(parentfd, name, O_RDONLY | O_NOFOLLOW), 'openat2', shown)
  try {
    const hash = createHash('sha256')
    for (let length = readSync(fd, block); length > 0; length = readSync(fd, block)) {
      hash.update(block.subarray(0, length))
    }
    return hash.digest('hex')
  } finally {
    closeSync(fd)
  }
}
