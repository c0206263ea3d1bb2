/** One server for one data directory. */
import { LayercastError } from '../errors.ts'
import { lockFile, type FileLock } from '../linux/file-lock.ts'

/**
 * Locks a directory for one server: the fleet objects of two would give the same generations twice. The lock is on an open file,
 * which workerd inherits, so that the kernel releases it when both processes have ended, in whatever way.
 * FAILED_PRECONDITION if another server holds it.
 */
export function lockDirectory(root: string, file: string): FileLock {
  const lock = lockFile(file)
  if (lock !== undefined) return lock
  throw new LayercastError('FAILED_PRECONDITION', `another server runs on ${root}`, {
    fix: `Stop it, or give this one a directory of its own. If it was killed, its workerd still runs: fuser ${file} names it.`,
    detail: { root },
  })
}
