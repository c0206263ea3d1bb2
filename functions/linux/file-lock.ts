/** Locks on files (flock(2)): the kernel lets go of one when the last process that holds it has ended, however it ended. */
import { closeSync, openSync } from 'node:fs'
import { LayercastError } from '../errors.ts'
import { bind, errno } from './libc.ts'

const flock = bind('int flock(int fd, int operation)')
const LOCK_EX = 2
const LOCK_NB = 4

export interface FileLock {
  /** The open file that is locked. Whoever inherits it holds the lock too. */
  fd: number
  release(): void
}

/**
 * Locks a file, made where it is missing, for whoever holds it open. Undefined where another holds it. SYSTEM_CALL_FAILED,
 * and what Node says of a file that cannot be opened.
 */
export function lockFile(path: string): FileLock | undefined {
  return lock(path, LOCK_EX | LOCK_NB)
}

/** As `lockFile`, and blocks this thread until the lock is free: for locks that are held while synchronous calls run. */
export function waitForLock(path: string): FileLock {
  const held = lock(path, LOCK_EX)
  if (held === undefined) throw refused(path)
  return held
}

function lock(path: string, operation: number): FileLock | undefined {
  const fd = openSync(path, 'a', 0o600)
  const result = flock(fd, operation)
  if (result >= 0) return { fd, release: () => closeSync(fd) }
  closeSync(fd)
  if (result === -errno.EWOULDBLOCK) return undefined
  throw refused(path)
}

function refused(path: string): LayercastError {
  return new LayercastError('SYSTEM_CALL_FAILED', `${path} cannot be locked`, {
    fix: 'Use a directory on a file system of this machine that knows locks (flock).',
    detail: { path },
  })
}
