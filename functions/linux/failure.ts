/** What the operating system refuses (a full disk, a missing right), with what to do about it; Node's errors and SQLite's do not say. */
import { LayercastError } from '../errors.ts'

/** What to do about an error number, by its name. */
export const REMEDIES: Readonly<Record<string, string>> = {
  EPERM: 'Run as root (CAP_SYS_ADMIN, CAP_MKNOD and CAP_CHOWN), in the initial user namespace.',
  EACCES: 'Run as root (CAP_SYS_ADMIN and CAP_DAC_OVERRIDE), and check the security module of the machine.',
  ENOSYS: 'Use a Linux kernel of 5.6 or later, and a container runtime whose seccomp profile allows the call.',
  ENOSPC: 'Make room on the file system, or free inodes.',
  EDQUOT: 'Raise the disk quota.',
  EROFS: 'Use a directory on a writable file system.',
  ENODEV: 'Load the kernel module of this file system type.',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
  ENFILE: "Raise the machine's limit of open files (sysctl fs.file-max).",
  EIO: 'Check the disk (dmesg says more).',
}

/** SQLite's primary result codes (sqlite.org/rescode.html) that say what an error number says. */
const SQLITE: Readonly<Record<number, string>> = { 3: 'EACCES', 8: 'EROFS', 10: 'EIO', 13: 'ENOSPC' }

/**
 * SYSTEM_CALL_FAILED where the system refused for a reason that a user can do something about: a full disk, a missing
 * right. Undefined for all else, such as a missing file, which only the caller can judge.
 */
export function systemFailure(error: unknown): LayercastError | undefined {
  if (!(error instanceof Error)) return undefined
  const errno = errnoOf(error)
  const fix = errno === undefined ? undefined : REMEDIES[errno]
  if (fix === undefined) return undefined
  return new LayercastError('SYSTEM_CALL_FAILED', error.message, { cause: error, fix, detail: { errno } })
}

function errnoOf(error: Error & { code?: unknown; errcode?: unknown }): string | undefined {
  if (error.code !== 'ERR_SQLITE_ERROR') return typeof error.code === 'string' ? error.code : undefined
  // The low byte is the primary code, the rest tells its kinds apart.
  return typeof error.errcode === 'number' ? SQLITE[error.errcode & 0xff] : undefined
}
