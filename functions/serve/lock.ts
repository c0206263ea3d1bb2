import { LayercastError } from '../errors.ts'
import { lockFile, type FileLock } from '../linux/file-lock.ts'

/**
 * Keeps a directory for one server: two fleet objects over one database would each give generations. The lock is on an
 * open file, which workerd inherits: the system lets go when the last of both has ended, however each ended.
 * FAILED_PRECONDITION if another holds it.
 */
export function lockDirectory(root: string, file: string): FileLock {
  const lock = lockFile(file)
  if (lock !== undefined) return lock
  throw new LayercastError('FAILED_PRECONDITION', `another server runs on ${root}`, {
    fix: `Stop it, or give this one a directory of its own. If it was killed, its workerd still runs: fuser ${file} names it.`,
    detail: { root },
  })
}
