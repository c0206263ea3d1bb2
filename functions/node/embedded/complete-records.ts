/** Makes the records of a root complete, for a later rebuild. */
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { blobOf } from './content.ts'
import type { RootDatabase } from './database.ts'
import { imageOf } from './images.ts'
import { blobRecordPath, contentPath, imageRecordPath, snapshotRecordPath, type Layout } from './layout.ts'
import { dropRecords, keepBlobRecord, keepImageRecord, keepSnapshotRecord, recordNames } from './records.ts'
import { storedOf } from './rows.ts'

/**
 * Writes missing records: a root that was written before layercast kept records has none. Removes records without a row, which a
 * killed process left.
 */
export function completeRecords(database: RootDatabase, layout: Layout): void {
  database.locked(() => {
    const images = recordNames(layout, 'images')
    for (const row of database.all('select * from images')) {
      const record = imageOf(row)
      if (!images.delete(basename(imageRecordPath(layout, record.name)))) keepImageRecord(layout, record)
    }
    dropRecords(layout, 'images', images)
    const blobs = recordNames(layout, 'blobs')
    for (const row of database.all('select * from blobs')) {
      const info = blobOf(row)
      if (!blobs.delete(basename(blobRecordPath(layout, info.digest)))) keepBlobRecord(layout, info)
    }
    dropRecords(layout, 'blobs', blobs)
    const committed = database.all(
      `select s.*, coalesce(p.name, '') as parent_name from snapshots s left join snapshots p on p.id = s.parent
       where s.kind = 'committed'`,
    )
    for (const row of committed) {
      const id = Number(row['id'])
      const path = snapshotRecordPath(layout, id)
      // The record is in the snapshot's directory, which may be lost.
      if (existsSync(path) || !existsSync(contentPath(layout, id))) continue
      const [name, parent] = [String(row['name']), String(row['parent_name'])]
      keepSnapshotRecord(layout, {
        id,
        name,
        parent,
        ...storedOf(row),
        size: Number(row['size']),
        inodes: Number(row['inodes']),
      })
    }
  })
}
