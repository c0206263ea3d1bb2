import { DatabaseSync } from 'node:sqlite'
import { LayercastError } from '../image/errors.ts'
import { withPrivateUmask } from './private-files.ts'

/**
 * Keeps a directory for one server: two fleet objects over one database would each give generations. The lock is SQLite's
 * on a file, which the system lets go when the process ends, however it ends. FAILED_PRECONDITION if another holds it.
 */
export function lockDirectory(root: string, file: string): { release: () => void } {
  // The empty file is for its owner alone from the first: whoever could open it could hold it locked.
  const database = withPrivateUmask(() => new DatabaseSync(file, { timeout: 0 }))
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY) throw error
    throw new LayercastError('FAILED_PRECONDITION', `another server runs on ${root}`, {
      cause: error,
      fix: 'Stop it, or give this one a directory of its own.',
      detail: { root },
    })
  }
  return { release: () => database.close() }
}

const SQLITE_BUSY = 5
