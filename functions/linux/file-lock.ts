import { closeSync, openSync } from 'node:fs'
import { LayercastError } from '../errors.ts'
import { bind, errno } from './libc.ts'

const flock = bind('int flock(int fd, int operation)')
/** LOCK_EX | LOCK_NB, flock(2). */
const EXCLUSIVE_NOW = 2 | 4

export interface FileLock {
  /** The open file that is locked. Whoever inherits it holds the lock too. */
  fd: number
  release(): void
}

/**
 * Locks a file, made where it is missing, for whoever holds it open: the system lets go when the last one has ended, however it
 * ended. Undefined where another holds it. SYSTEM_CALL_FAILED, and what Node says of a file that cannot be opened.
 */
export function lockFile(path: string): FileLock | undefined {
  const fd = openSync(path, 'a', 0o600)
  const result = flock(fd, EXCLUSIVE_NOW)
  if (result >= 0) return { fd, release: () => closeSync(fd) }
  closeSync(fd)
  if (result === -errno.EWOULDBLOCK) return undefined
  throw new LayercastError('SYSTEM_CALL_FAILED', `${path} cannot be locked`, {
    fix: 'Use a directory on a file system of this machine that knows locks (flock).',
    detail: { path },
  })
}
