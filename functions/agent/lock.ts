import { join } from 'node:path'
import { lockFile, type FileLock } from '../linux/file-lock.ts'
import { Dismissal } from './dismissal.ts'

/**
 * Keeps a state directory for one agent: two would take turns with one node's token, and each report over the other.
 * A Dismissal (FAILED_PRECONDITION) if another runs on it. A crash lets go.
 */
export function lockState(directory: string): FileLock {
  const lock = lockFile(join(directory, 'lock'))
  if (lock !== undefined) return lock
  throw new Dismissal('FAILED_PRECONDITION', `another agent runs on ${directory}`, {
    fix: 'Stop it, or give this one a directory of its own with --state. One agent is enough for a node.',
    detail: { directory },
  })
}
