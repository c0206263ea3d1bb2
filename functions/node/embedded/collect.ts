import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT, GC_REF_SNAPSHOT, GC_ROOT } from '../../image/label-names.ts'
import type { Labels } from '../ports.ts'
import type { Database } from './database.ts'
import { blobPath, snapshotPath, type Layout } from './layout.ts'
import { dropBlobRecord } from './records.ts'
import { decoded, storedOf } from './rows.ts'
import { discard, removeTree } from './sweep.ts'

// The labels by which containerd's collector knows what keeps what; a suffix after a dot or a slash tells several apart.

interface Garbage {
  snapshots: number[]
  blobs: Digest[]
}

/**
 * Takes what leases held and nothing else keeps, and those leases with it: blobs that no image leads to, active
 * snapshots, and committed ones that no blob's label names and no child stands on. What no lease ever held is left alone,
 * and so is what it leads to. Not before the first change.
 * @param ended which leases: those that had ended at this time, in milliseconds since 1970
 */
export async function collect(database: Database, layout: Layout, ended: number): Promise<void> {
  const { snapshots, blobs } = database.locked(() => takeRows(database, layout, ended))
  const places = snapshots.map((id) => discard(layout, snapshotPath(layout, id)))
  for (const digest of blobs) places.push(discardBlob(database, layout, digest))
  for (const place of places) await removeTree(place)
}

/** Moves a blob's file away whose row is gone, unless someone has written the blob again since. */
export function discardBlob(database: Database, layout: Layout, digest: Digest): string | undefined {
  return database.locked(() =>
    database.get('select 1 from blobs where digest = ?', digest)
      ? undefined
      : discard(layout, blobPath(layout, digest)),
  )
}

function takeRows(database: Database, layout: Layout, ended: number): Garbage {
  const held = database.all(
    `select distinct type, name from lease_resources r join leases l on l.id = r.lease where l.expires <= ?
     except select type, name from lease_resources r join leases l on l.id = r.lease where l.expires > ?`,
    ended,
    ended,
  )
  database.run('delete from leases where expires <= ?', ended)
  const namesOf = (type: string): Set<string> =>
    new Set(held.filter((row) => row['type'] === type).map((row) => String(row['name'])))
  // Blobs first: those that go keep no snapshot.
  return {
    blobs: takeBlobs(database, layout, namesOf('blob')),
    snapshots: takeSnapshots(database, namesOf('snapshot')),
  }
}

function takeBlobs(database: Database, layout: Layout, candidates: ReadonlySet<string>): Digest[] {
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

function takeSnapshots(database: Database, candidates: ReadonlySet<string>): number[] {
  if (candidates.size === 0) return []
  const labelled = database.all(`select labels, created, updated from blobs where labels like '%"${GC_REF_SNAPSHOT}%'`)
  const kept = new Set(labelled.flatMap((row) => references(storedOf(row).labels, GC_REF_SNAPSHOT)))
  const gone: number[] = []
  // A child is always younger than its parent, so from the youngest on every child comes first.
  for (const row of database.all('select * from snapshots order by id desc')) {
    const [id, name] = [Number(row['id']), String(row['name'])]
    if (!candidates.has(name) || kept.has(name) || storedOf(row).labels[GC_ROOT] !== undefined) continue
    if (database.get('select 1 from snapshots where parent = ?', id)) continue
    database.run('delete from snapshots where id = ?', id)
    gone.push(id)
  }
  return gone
}

function references(labels: Labels, prefix: string): string[] {
  return Object.entries(labels)
    .filter(([key]) => key === prefix || key.startsWith(`${prefix}.`) || key.startsWith(`${prefix}/`))
    .map(([, value]) => value)
}
