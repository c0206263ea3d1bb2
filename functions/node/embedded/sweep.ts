import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, renameSync, type Dirent } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isDigest } from '../../image/digest.ts'
import type { Database } from './database.ts'
import { contentPath, type Layout } from './layout.ts'
import { isAbandoned, isProcessName } from './process-name.ts'

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

/** What lies in a snapshot's directory: the layer's content, overlay's scratch, and the record. */
const SNAPSHOT_ENTRIES: readonly string[] = ['fs', 'work', 'snapshot.json']

/** Whether a directory holds what layercast puts in a snapshot's and nothing else. */
export function isSnapshotDirectory(path: string): boolean {
  return readdirSync(path).every((name) => SNAPSHOT_ENTRIES.includes(name) || isProcessName(name))
}

/** Removes what `discard` moved away. */
export async function removeTree(path: string | undefined): Promise<void> {
  // Another process may be at the same tree: then a directory is gone, or not empty for a moment.
  if (path !== undefined) await rm(path, { recursive: true, force: true, maxRetries: 5 })
}

/**
 * Removes what killed processes left on its way out, and blobs and records that they had half written. It needs no
 * database, and no room on the disk. In a marked root only; and only what has the name, and is of the kind, that layercast
 * gives: no link is followed, and what a person put there stays.
 */
export async function emptyTrash(layout: Layout): Promise<void> {
  for (const { name } of entriesOf(layout.trash)) {
    if (/^[\w-]{16}$/.test(name)) await removeTree(join(layout.trash, name))
  }
  for (const entry of entriesOf(layout.ingest)) {
    if (!entry.isFile() || !isProcessName(entry.name)) continue
    const path = join(layout.ingest, entry.name)
    const modified = await lstat(path).then(
      (found) => found.mtimeMs,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      },
    )
    if (modified !== undefined && isAbandoned(entry.name, modified)) await rm(path, { force: true })
  }
}

/**
 * Clears away what killed processes left: snapshot directories and blobs without a row, and layers in the making whose
 * directory is gone. Rows come into being in the same transaction in which their directory does, so under the write lock
 * whatever has no row is nobody's. As `emptyTrash`, it touches what layercast made and nothing else.
 */
export async function sweep(database: Database, layout: Layout): Promise<void> {
  const places: (string | undefined)[] = []
  database.locked(() => {
    const rows = database.all('select id, kind, labels from snapshots order by id desc')
    const known = new Set(rows.map((row) => String(row['id'])))
    for (const entry of entriesOf(layout.snapshots)) {
      if (!entry.isDirectory() || !/^[1-9]\d*$/.test(entry.name) || known.has(entry.name)) continue
      if (!isSnapshotDirectory(join(layout.snapshots, entry.name))) continue
      places.push(discard(layout, join(layout.snapshots, entry.name)))
    }
    // On a full disk the directory goes while the row cannot. A layer in the making is worth nothing without it.
    for (const { id, kind, labels } of rows) {
      if (kind !== 'active' || !String(labels).includes('"containerd.io/snapshot.ref"')) continue
      if (lstatSync(contentPath(layout, Number(id)), { throwIfNoEntry: false }) !== undefined) continue
      database.run(
        'delete from snapshots where id = ? and id not in (select parent from snapshots where parent is not null)',
        Number(id),
      )
    }
  })
  database.locked(() => {
    const known = new Set(database.all('select digest from blobs').map((row) => String(row['digest'])))
    for (const algorithm of entriesOf(layout.blobs)) {
      if (!algorithm.isDirectory()) continue
      const directory = join(layout.blobs, algorithm.name)
      for (const entry of entriesOf(directory)) {
        const digest = `${algorithm.name}:${entry.name}`
        if (!entry.isFile() || !isDigest(digest) || known.has(digest)) continue
        places.push(discard(layout, join(directory, entry.name)))
      }
    }
  })
  for (const place of places) await removeTree(place)
}

/** What is in a directory; nothing where it is none, or a link to one. */
export function entriesOf(path: string): Dirent[] {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return []
  return readdirSync(path, { withFileTypes: true })
}
