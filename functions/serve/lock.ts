import { closeSync, openSync } from 'node:fs'
import { LayercastError } from '../image/errors.ts'
import { bind, errno } from '../runner/system/libc.ts'

const flock = bind('int flock(int fd, int operation)')
/** LOCK_EX | LOCK_NB, flock(2). */
const EXCLUSIVE_NOW = 2 | 4

export interface DirectoryLock {
  /** The open file that is locked. Whoever inherits it holds the lock too. */
  fd: number
  release(): void
}

/**
 * Keeps a directory for one server: two fleet objects over one database would each give generations. The lock is on an
 * open file, which workerd inherits: the system lets go when the last of both has ended, however each ended.
 * FAILED_PRECONDITION if another holds it.
 */
export function lockDirectory(root: string, file: string): DirectoryLock {
  const fd = openSync(file, 'a', 0o600)
  const result = flock(fd, EXCLUSIVE_NOW)
  if (result >= 0) return { fd, release: () => closeSync(fd) }
  closeSync(fd)
  if (result !== -errno.EWOULDBLOCK) throw new LayercastError('SYSTEM_CALL_FAILED', `${file} cannot be locked`)
  throw new LayercastError('FAILED_PRECONDITION', `another server runs on ${root}`, {
    fix: `Stop it, or give this one a directory of its own. If it was killed, its workerd still runs: fuser ${file} names it.`,
    detail: { root },
  })
}
