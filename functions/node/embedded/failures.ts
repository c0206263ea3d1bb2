/** Failures of a root's database and disk, in words for the user. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Layout } from './layout.ts'
import { cannotOpen } from './root-mark.ts'

const SQLITE_READONLY = 8
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/** DATABASE_DAMAGED, with `layercast root rebuild` as the fix. */
export function damaged(layout: Layout, why: string, cause?: unknown): LayercastError {
  return unusable(layout, `${layout.database} is damaged: ${why}`, cause)
}

/** DATABASE_DAMAGED: the database is gone, and blobs or snapshots that it described are there. */
export function databaseGone(layout: Layout): LayercastError {
  return unusable(layout, `${layout.database} is gone, and what it described is still there`)
}

function unusable({ root, database }: Layout, what: string, cause?: unknown): LayercastError {
  const shown = /^[\w@%+=:,./-]+$/.test(root) ? root : `'${root.replaceAll("'", String.raw`'\''`)}'`
  return new LayercastError('DATABASE_DAMAGED', `${what}; nothing was changed`, {
    fix: `Run 'layercast root rebuild --root ${shown}', which makes it again from what lies there.`,
    detail: { root, database, damage: what },
    cause,
  })
}

/** What an error of SQLite's means to the user; any other error as it is. */
export function databaseFailure(layout: Layout, error: unknown): unknown {
  const code = sqliteCode(error)
  if (code === SQLITE_NOTADB || code === SQLITE_CORRUPT) return damaged(layout, (error as Error).message, error)
  if (code === SQLITE_FULL) return diskFull(layout, error as Error)
  if (code === SQLITE_READONLY) return cannotOpen(layout, error)
  return error
}

/** The error of a write to a full disk, with the directory that is meant; any other as `databaseFailure`. */
export function writeFailure(layout: Layout, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const detail = error instanceof LayercastError ? error.detail : {}
  if (detail['root'] === layout.root) return error
  const errno = detail['errno'] ?? ('code' in error ? error.code : undefined)
  return errno === 'ENOSPC' || errno === 'EDQUOT' ? diskFull(layout, error) : databaseFailure(layout, error)
}

function diskFull({ root }: Layout, cause: Error): LayercastError {
  return new LayercastError('SYSTEM_CALL_FAILED', `the disk that holds ${root} is full: ${cause.message}`, {
    cause,
    fix: `Make room on it ('df -h ${root}', and -i for inodes), or choose another directory with --root; then run again.`,
    detail: { root, errno: 'ENOSPC' },
  })
}

/** Whether an error of `writeFailure` means a full disk. */
export function isDiskFull(error: unknown): boolean {
  return hasCode(error, 'SYSTEM_CALL_FAILED') && error.detail['errno'] === 'ENOSPC'
}

/** SQLite's primary result code (sqlite.org/rescode.html); undefined for other errors. */
export function sqliteCode(error: unknown): number | undefined {
  // The upper bits are the extended result code.
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
}
