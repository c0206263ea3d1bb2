/**
 * The *at family of system calls. Paths and names are byte strings (bytes.ts). Results are the kernel's: a value of 0 or
 * more, or a negative error number; `must` of libc.ts throws.
 */
import { constants } from 'node:fs'
import { bind, errno } from './libc.ts'

export const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_REMOVEDIR = 0x200
const AT_EMPTY_PATH = 0x1000

export const O_PATH = 0o10000000
const O_CLOEXEC = 0o2000000
export const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants

/** openat2(2): magic links (those of /proc) are refused. */
export const RESOLVE_NO_MAGICLINKS = 0x02
export const RESOLVE_NO_SYMLINKS = 0x04
/** openat2(2): the directory is the root for `..`, absolute paths and absolute symbolic links. */
export const RESOLVE_IN_ROOT = 0x10

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000

const SYS_OPENAT2 = 437 // the same on every architecture

const calls = {
  syscall: bind('long syscall(long number, int dirfd, const void *path, const void *how, size_t size)'),
  mkdirat: bind('int mkdirat(int dirfd, const void *path, uint32_t mode)'),
  unlinkat: bind('int unlinkat(int dirfd, const void *path, int flags)'),
  symlinkat: bind('int symlinkat(const void *target, int dirfd, const void *path)'),
  linkat: bind('int linkat(int olddirfd, const void *oldpath, int newdirfd, const void *newpath, int flags)'),
  mknodat: bind('int mknodat(int dirfd, const void *path, uint32_t mode, uint64_t dev)'),
  fchownat: bind('int fchownat(int dirfd, const void *path, uint32_t uid, uint32_t gid, int flags)'),
  fchmod: bind('int fchmod(int fd, uint32_t mode)'),
  fchown: bind('int fchown(int fd, uint32_t uid, uint32_t gid)'),
  chmod: bind('int chmod(const void *path, uint32_t mode)'),
  utimensat: bind('int utimensat(int dirfd, const void *path, const void *times, int flags)'),
  futimens: bind('int futimens(int fd, const void *times)'),
  renameat2: bind(
    'int renameat2(int olddirfd, const void *oldpath, int newdirfd, const void *newpath, unsigned int flags)',
  ),
  readlinkat: bind('int64_t readlinkat(int dirfd, const void *path, _Out_ uint8_t *buffer, size_t size)'),
  statx: bind('int statx(int dirfd, const void *path, int flags, unsigned int mask, _Out_ uint8_t *buffer)'),
  ftruncate: bind('int ftruncate(int fd, int64_t length)'),
  syncfs: bind('int syncfs(int fd)'),
}

const PATH_MAX = 4096
const firstPath = Buffer.alloc(PATH_MAX)
const secondPath = Buffer.alloc(PATH_MAX)
const openHow = Buffer.alloc(24)
const linkText = Buffer.alloc(PATH_MAX)
const stat = Buffer.alloc(256)
const times = Buffer.alloc(32)

// The calls are synchronous, so two buffers serve all of them. A NUL is refused: the kernel would take it for the name's end.
function terminated(path: string, into: Buffer): number {
  if (path.length >= PATH_MAX) return -errno.ENAMETOOLONG
  if (path.includes('\0')) return -errno.EINVAL
  into.write(path, 0, 'latin1')
  into[path.length] = 0
  return 0
}

export interface OpenOptions {
  mode?: number
  resolve?: number
}

/** openat2(2), always with O_CLOEXEC. The answer is a file descriptor that node:fs can close. */
export function openAt(dirfd: number, path: string, flags: number, options: OpenOptions = {}): number {
  const bad = terminated(path, firstPath)
  if (bad < 0) return bad
  openHow.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0)
  openHow.writeBigUInt64LE(BigInt(options.mode ?? 0), 8)
  openHow.writeBigUInt64LE(BigInt(options.resolve ?? 0), 16)
  for (let tries = 1; ; tries++) {
    const fd = calls.syscall(SYS_OPENAT2, dirfd, firstPath, openHow, openHow.length)
    // EAGAIN: a rename raced with the resolution of `..`, and the kernel could not vouch for the answer.
    if (fd !== -errno.EAGAIN || tries === 64) return fd
  }
}

export function mkdirAt(dirfd: number, path: string, mode: number): number {
  return terminated(path, firstPath) || calls.mkdirat(dirfd, firstPath, mode)
}

export function unlinkAt(dirfd: number, path: string): number {
  return terminated(path, firstPath) || calls.unlinkat(dirfd, firstPath, 0)
}

export function rmdirAt(dirfd: number, path: string): number {
  return terminated(path, firstPath) || calls.unlinkat(dirfd, firstPath, AT_REMOVEDIR)
}

export function symlinkAt(target: string, dirfd: number, path: string): number {
  return terminated(target, firstPath) || terminated(path, secondPath) || calls.symlinkat(firstPath, dirfd, secondPath)
}

/** linkat(2) without following a symbolic link at the end of `from`. */
export function linkAt(fromfd: number, from: string, tofd: number, to: string): number {
  return (
    terminated(from, firstPath) || terminated(to, secondPath) || calls.linkat(fromfd, firstPath, tofd, secondPath, 0)
  )
}

/** A device number as the kernel's ABI has it. */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major >>> 0), BigInt(minor >>> 0)]
  return ((high & 0xfffn) << 8n) | (low & 0xffn) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n)
}

/** mknodat(2); `mode` has the kind (S_IFCHR, ...). */
export function mknodAt(dirfd: number, path: string, mode: number, device: bigint = 0n): number {
  return terminated(path, firstPath) || calls.mknodat(dirfd, firstPath, mode, device)
}

/** Changes the owner of what is at the name, without following a symbolic link. */
export function chownAt(dirfd: number, path: string, uid: number, gid: number): number {
  return terminated(path, firstPath) || calls.fchownat(dirfd, firstPath, uid, gid, AT_SYMLINK_NOFOLLOW)
}

export function chown(fd: number, uid: number, gid: number): number {
  return calls.fchown(fd, uid, gid)
}

export function chmod(fd: number, mode: number): number {
  return calls.fchmod(fd, mode)
}

/** Changes the mode of what an O_PATH descriptor stands for. */
export function chmodPath(fd: number, mode: number): number {
  return terminated(`/proc/self/fd/${fd}`, firstPath) || calls.chmod(firstPath, mode)
}

/** A point in time; nanoseconds are 0 to 999,999,999, also before 1970. */
export interface Time {
  seconds: number
  nanoseconds: number
}

function setTimes(atime: Time, mtime: Time): void {
  times.writeBigInt64LE(BigInt(atime.seconds), 0)
  times.writeBigInt64LE(BigInt(atime.nanoseconds), 8)
  times.writeBigInt64LE(BigInt(mtime.seconds), 16)
  times.writeBigInt64LE(BigInt(mtime.nanoseconds), 24)
}

/** Sets the times of what is at the name, without following a symbolic link. */
export function utimesAt(dirfd: number, path: string, atime: Time, mtime: Time): number {
  const bad = terminated(path, firstPath)
  if (bad < 0) return bad
  setTimes(atime, mtime)
  return calls.utimensat(dirfd, firstPath, times, AT_SYMLINK_NOFOLLOW)
}

export function utimes(fd: number, atime: Time, mtime: Time): number {
  setTimes(atime, mtime)
  return calls.futimens(fd, times)
}

const RENAME = { replace: 0, keep: 1, exchange: 2 }

/** renameat2(2): what is at `to` is replaced, or the call fails with EEXIST, or the two change places. */
export function renameAt(fromfd: number, from: string, tofd: number, to: string, how: keyof typeof RENAME): number {
  return (
    terminated(from, firstPath) ||
    terminated(to, secondPath) ||
    calls.renameat2(fromfd, firstPath, tofd, secondPath, RENAME[how])
  )
}

/** The text of a symbolic link as a byte string, or a negative error number. */
export function readlinkAt(dirfd: number, path: string): string | number {
  const bad = terminated(path, firstPath)
  if (bad < 0) return bad
  const length = calls.readlinkat(dirfd, firstPath, linkText, linkText.length)
  return length < 0 ? length : linkText.toString('latin1', 0, length)
}

export interface Stat {
  /** Kind and permissions, as st_mode. */
  mode: number
  uid: number
  gid: number
  size: number
  links: number
  inode: bigint
  /** The device that holds it, `major:minor`. */
  device: string
  /** What a device node stands for. */
  major: number
  minor: number
  atime: Time
  mtime: Time
}

const STATX_BASIC_STATS = 0x7ff

/** What is at the name, without following a symbolic link; `dirfd` itself when the name is empty. */
export function statAt(dirfd: number, path: string): Stat | number {
  const bad = terminated(path, firstPath)
  if (bad < 0) return bad
  const flags = AT_SYMLINK_NOFOLLOW | (path === '' ? AT_EMPTY_PATH : 0)
  const result = calls.statx(dirfd, firstPath, flags, STATX_BASIC_STATS, stat)
  if (result < 0) return result
  return {
    mode: stat.readUInt16LE(28),
    uid: stat.readUInt32LE(20),
    gid: stat.readUInt32LE(24),
    size: Number(stat.readBigUInt64LE(40)),
    links: stat.readUInt32LE(16),
    inode: stat.readBigUInt64LE(32),
    device: `${stat.readUInt32LE(136)}:${stat.readUInt32LE(140)}`,
    major: stat.readUInt32LE(128),
    minor: stat.readUInt32LE(132),
    atime: { seconds: Number(stat.readBigInt64LE(64)), nanoseconds: stat.readUInt32LE(72) },
    mtime: { seconds: Number(stat.readBigInt64LE(112)), nanoseconds: stat.readUInt32LE(120) },
  }
}

export function truncate(fd: number, size: number): number {
  return calls.ftruncate(fd, size)
}

/** Writes to the disk what the file system of `fd` has in memory. */
export function syncFileSystem(fd: number): Promise<number> {
  return calls.syncfs.later(fd)
}
