import { randomBytes } from 'node:crypto'
import { readdirSync, renameSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from './database.ts'
import type { Layout } from './layout.ts'
import { isOrphan } from './owner.ts'

/**
 * Moves a path out of sight, in one step that either happened or did not.
 * @returns where it lies now, for `removeTree`; undefined when it was not there
 */
export function discard(layout: Layout, path: string): string | undefined {
  const place = join(layout.trash, randomBytes(12).toString('base64url'))
  try {
    renameSync(path, place)
    return place
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Removes what `discard` moved away. */
export async function removeTree(path: string | undefined): Promise<void> {
  // Another process may be at the same tree: then a directory is gone, or not empty for a moment.
  if (path !== undefined) await rm(path, { recursive: true, force: true, maxRetries: 5 })
}

/**
 * Clears away what killed processes left: snapshot directories and blobs without a row, and half-written blobs. Rows
 * come into being in the same transaction in which their directory does, so under the write lock whatever has no row is
 * nobody's.
 */
export async function sweep(database: Database, layout: Layout): Promise<void> {
  database.transaction(() => {
    const known = new Set(database.all('select id from snapshots').map((row) => String(row['id'])))
    for (const name of readdirSync(layout.snapshots)) {
      if (!known.has(name)) discard(layout, join(layout.snapshots, name))
    }
  })
  database.transaction(() => {
    const known = new Set(database.all('select digest from blobs').map((row) => String(row['digest'])))
    for (const algorithm of readdirSync(layout.blobs)) {
      for (const hex of readdirSync(join(layout.blobs, algorithm))) {
        if (!known.has(`${algorithm}:${hex}`)) discard(layout, join(layout.blobs, algorithm, hex))
      }
    }
  })
  for (const name of await readdir(layout.ingest)) {
    const path = join(layout.ingest, name)
    const modified = await stat(path).then(
      (found) => found.mtimeMs,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      },
    )
    if (modified !== undefined && isOrphan(name, modified)) await rm(path, { force: true })
  }
  for (const name of await readdir(layout.trash)) await removeTree(join(layout.trash, name))
}
