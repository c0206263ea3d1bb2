import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { infoOf } from './content.ts'
import type { Database } from './database.ts'
import { recordOf } from './images.ts'
import { blobRecordPath, contentPath, imageRecordPath, snapshotRecordPath, type Layout } from './layout.ts'
import { dropRecords, keepBlobRecord, keepImageRecord, keepSnapshotRecord, recordNames } from './records.ts'
import { storedOf } from './rows.ts'

/**
 * Writes the records that are not there, of roots that were written before there were any, and removes those that a killed
 * process wrote for a row that never came.
 */
export function completeRecords(database: Database, layout: Layout): void {
  database.locked(() => {
    const images = recordNames(layout, 'images')
    for (const row of database.all('select * from images')) {
      const record = recordOf(row)
      if (!images.delete(basename(imageRecordPath(layout, record.name)))) keepImageRecord(layout, record)
    }
    dropRecords(layout, 'images', images)
    const blobs = recordNames(layout, 'blobs')
    for (const row of database.all('select * from blobs')) {
      const info = infoOf(row)
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
      // One whose directory is gone has nothing to be recorded in.
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
