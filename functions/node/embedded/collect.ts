/** The garbage collector of a root, by the labels that containerd's goes by (containerd/FACTS.md section 7). */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT, GC_REF_SNAPSHOT, GC_ROOT } from '../../image/label-names.ts'
import type { Labels } from '../ports.ts'
import type { RootDatabase } from './database.ts'
import { blobPath, snapshotPath, type Layout } from './layout.ts'
import { dropBlobRecord } from './records.ts'
import { decoded, storedOf } from './rows.ts'
import { moveToTrash, removeTrash } from './trash.ts'

interface Garbage {
  snapshots: number[]
  blobs: Digest[]
}

/**
 * Deletes expired leases, and of what they held, what nothing else keeps: blobs that no image leads to, active snapshots, and
 * committed snapshots that no label of a blob names and that have no children. What no lease ever held stays, and so does what it
 * leads to. Not before the first change.
 * @param ended the leases that had ended at this time, in milliseconds since 1970
 */
export async function collectGarbage(database: RootDatabase, layout: Layout, ended: number): Promise<void> {
  const { snapshots, blobs } = database.locked(() => takeRows(database, layout, ended))
  const places = snapshots.map((id) => moveToTrash(layout, snapshotPath(layout, id)))
  for (const digest of blobs) places.push(discardBlob(database, layout, digest))
  for (const place of places) await removeTrash(place)
}

/** Moves the file of a blob without a row to the trash, unless the blob has been written again meanwhile. */
export function discardBlob(database: RootDatabase, layout: Layout, digest: Digest): string | undefined {
  return database.locked(() =>
    database.get('select 1 from blobs where digest = ?', digest)
      ? undefined
      : moveToTrash(layout, blobPath(layout, digest)),
  )
}

function takeRows(database: RootDatabase, layout: Layout, ended: number): Garbage {
  const held = database.all(
    `select distinct type, name from lease_resources r join leases l on l.id = r.lease where l.expires <= ?
     except select type, name from lease_resources r join leases l on l.id = r.lease where l.expires > ?`,
    ended,
    ended,
  )
  database.run('delete from leases where expires <= ?', ended)
  const namesOf = (type: string): Set<string> =>
    new Set(held.filter((row) => row['type'] === type).map((row) => String(row['name'])))
  // Blobs first: the labels of those that go keep no snapshot.
  return {
    blobs: takeBlobs(database, layout, namesOf('blob')),
    snapshots: takeSnapshots(database, namesOf('snapshot')),
  }
}

function takeBlobs(database: RootDatabase, layout: Layout, candidates: ReadonlySet<string>): Digest[] {
  if (candidates.size === 0) return []
  const labels = new Map(
    database
      .all('select digest, labels, created, updated from blobs')
      .map((row) => [String(row['digest']), storedOf(row).labels]),
  )
  const kept = new Set<string>()
  const pending = database
    .all('select target from images')
    .map((row) => decoded<Descriptor>(row['target']).digest as string)
  for (const [digest, own] of labels) if (!candidates.has(digest) || own[GC_ROOT] !== undefined) pending.push(digest)
  for (let digest = pending.pop(); digest !== undefined; digest = pending.pop()) {
    if (kept.has(digest)) continue
    kept.add(digest)
    pending.push(...references(labels.get(digest) ?? {}, GC_REF_CONTENT))
  }
  const gone = [...candidates].filter((digest) => labels.has(digest) && !kept.has(digest)) as Digest[]
  for (const digest of gone) {
    dropBlobRecord(layout, digest)
    database.run('delete from blobs where digest = ?', digest)
  }
  return gone
}

function takeSnapshots(database: RootDatabase, candidates: ReadonlySet<string>): number[] {
  if (candidates.size === 0) return []
  const labelled = database.all(`select labels, created, updated from blobs where labels like '%"${GC_REF_SNAPSHOT}%'`)
  const kept = new Set(labelled.flatMap((row) => references(storedOf(row).labels, GC_REF_SNAPSHOT)))
  const gone: number[] = []
  // A child is younger than its parent, so in this order every child comes before its parent.
  for (const row of database.all('select * from snapshots order by id desc')) {
    const [id, name] = [Number(row['id']), String(row['name'])]
    if (!candidates.has(name) || kept.has(name) || storedOf(row).labels[GC_ROOT] !== undefined) continue
    if (database.get('select 1 from snapshots where parent = ?', id)) continue
    database.run('delete from snapshots where id = ?', id)
    gone.push(id)
  }
  return gone
}

/** What the labels with this stem name; a dot or a slash and anything may follow the stem. */
function references(labels: Labels, prefix: string): string[] {
  return Object.entries(labels)
    .filter(([key]) => key === prefix || key.startsWith(`${prefix}.`) || key.startsWith(`${prefix}/`))
    .map(([, value]) => value)
}
