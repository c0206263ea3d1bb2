/** Clears away what killed processes left below a root. */
import { lstatSync, readdirSync } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isDigest } from '../../image/digest.ts'
import { LABEL } from '../../image/label-names.ts'
import type { RootDatabase } from './database.ts'
import { entriesOf } from './entries.ts'
import { contentPath, type Layout } from './layout.ts'
import { isAbandoned, isProcessName } from './process-name.ts'
import { isTrashName, moveToTrash, removeTrash } from './trash.ts'

/** What a snapshot's directory holds: the content, overlayfs's work directory, the record. */
const SNAPSHOT_ENTRIES: readonly string[] = ['fs', 'work', 'snapshot.json']

/** Whether a directory holds nothing but what layercast puts into a snapshot's directory. */
export function isSnapshotDirectory(path: string): boolean {
  return readdirSync(path).every((name) => SNAPSHOT_ENTRIES.includes(name) || isProcessName(name))
}

/**
 * Removes what killed processes left in the trash, and blobs and records that they had half written. It needs neither the
 * database nor free space. Only for a marked root. It follows no link and removes only what has a name, and is of a kind, that
 * layercast makes: what a person put there stays.
 */
export async function removeHalfWritten(layout: Layout): Promise<void> {
  for (const { name } of entriesOf(layout.trash)) {
    if (isTrashName(name)) await removeTrash(join(layout.trash, name))
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
 * Removes what killed processes left: snapshot directories and blobs without a row, and rows of unfinished layers without a
 * directory. A row and its directory are made in one transaction, so under the write lock whatever has no row is abandoned. As
 * `removeHalfWritten`, it removes only what layercast made.
 */
export async function sweep(database: RootDatabase, layout: Layout): Promise<void> {
  const places: (string | undefined)[] = []
  database.locked(() => {
    const rows = database.all('select id, kind, labels from snapshots order by id desc')
    const known = new Set(rows.map((row) => String(row['id'])))
    for (const entry of entriesOf(layout.snapshots)) {
      if (!entry.isDirectory() || !/^[1-9]\d*$/.test(entry.name) || known.has(entry.name)) continue
      if (!isSnapshotDirectory(join(layout.snapshots, entry.name))) continue
      places.push(moveToTrash(layout, join(layout.snapshots, entry.name)))
    }
    // On a full disk a snapshot's directory is removed first (see EmbeddedSnapshotter.remove), and its row may stay behind. Without
    // its directory an unfinished layer is worth nothing.
    for (const { id, kind, labels } of rows) {
      if (kind !== 'active' || !String(labels).includes(`"${LABEL.snapshotRef}"`)) continue
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
        places.push(moveToTrash(layout, join(directory, entry.name)))
      }
    }
  })
  for (const place of places) await removeTrash(place)
}
