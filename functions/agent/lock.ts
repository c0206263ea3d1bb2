/** One agent at a time for a state directory. */
import { join } from 'node:path'
import { lockFile, type FileLock } from '../linux/file-lock.ts'
import { Dismissal } from './dismissal.ts'

/**
 * Locks a state directory. Two agents with one node's token would overwrite each other's reports. A Dismissal (FAILED_PRECONDITION)
 * where another agent has the lock. The kernel releases the lock of a process that ends.
 */
export function lockState(directory: string): FileLock {
  const lock = lockFile(join(directory, 'lock'))
  if (lock !== undefined) return lock
  throw new Dismissal('FAILED_PRECONDITION', `another agent runs on ${directory}`, {
    fix: 'Stop it, or give this one a directory of its own with --state. One agent is enough for a node.',
    detail: { directory },
  })
}
