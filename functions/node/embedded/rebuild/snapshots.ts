/** The committed snapshots below a root, by their records. */
import { lstatSync } from 'node:fs'
import { entriesOf } from '../entries.ts'
import { contentPath, snapshotPath, type Layout } from '../layout.ts'
import { snapshotRecord, type SnapshotRecord } from '../records.ts'

export interface LostSnapshot {
  /** Absent where it is not known. */
  name?: string
  path: string
  why:
    | 'nothing says that it is complete'
    | 'it has no content'
    | 'what it stands on is gone'
    | 'another one has its name'
}

export interface FoundSnapshots {
  /** Each after its parent. */
  whole: SnapshotRecord[]
  lost: LostSnapshot[]
}

/** Looks at every snapshot's directory. A snapshot that was not committed counts as lost, because its content may be incomplete. */
export function scanSnapshots(layout: Layout): FoundSnapshots {
  const found: FoundSnapshots = { whole: [], lost: [] }
  const byName = new Map<string, SnapshotRecord>()
  const numbers = entriesOf(layout.snapshots)
    .filter((entry) => entry.isDirectory() && /^[1-9]\d{0,14}$/.test(entry.name))
    .map((entry) => Number(entry.name))
  for (const id of numbers.sort((one, other) => one - other)) {
    const path = snapshotPath(layout, id)
    const record = snapshotRecord(layout, id)
    if (record === undefined) found.lost.push({ path, why: 'nothing says that it is complete' })
    else if (lstatSync(contentPath(layout, id), { throwIfNoEntry: false })?.isDirectory() !== true) {
      found.lost.push({ name: record.name, path, why: 'it has no content' })
    } else if (byName.has(record.name)) {
      found.lost.push({ name: record.name, path, why: 'another one has its name' })
    } else byName.set(record.name, record)
  }
  const placed = new Set<string>()
  // A parent has a lower number than its children, also one that was made again: it takes the number of the lost one.
  for (const record of byName.values()) {
    if (record.parent === '' || placed.has(record.parent)) {
      placed.add(record.name)
      found.whole.push(record)
    } else {
      found.lost.push({ name: record.name, path: snapshotPath(layout, record.id), why: 'what it stands on is gone' })
    }
  }
  return found
}
