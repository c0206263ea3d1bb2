/** Makes the database of a root again from the files below it (`layercast root rebuild`). */
import { lstatSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { hasCode, LayercastError } from '../../../errors.ts'
import type { Digest } from '../../../image/digest.ts'
import { GC_REF_SNAPSHOT } from '../../../image/label-names.ts'
import type { ContentInfo, Labels } from '../../ports.ts'
import { RootDatabase } from '../database.ts'
import { blobRecordPath, imageRecordPath, layoutOf, makeTree, type Layout } from '../layout.ts'
import { rootState, writeMark } from '../root-mark.ts'
import { encodeLabels } from '../rows.ts'
import { createDatabase } from '../schema.ts'
import { scanBlobs, type FoundBlobs } from './blobs.ts'
import { scanImages, type FoundImages } from './images.ts'
import { scanSnapshots, type FoundSnapshots, type LostSnapshot } from './snapshots.ts'

export interface RebuildOptions {
  root: string
  /** Tells what would be done, and changes nothing. */
  dryRun?: boolean
  signal?: AbortSignal
}

export interface Rebuilt {
  root: string
  /** The database is whole, so nothing else was looked at, and nothing was done. */
  whole: boolean
  dryRun: boolean
  /** What was wrong. */
  damage?: string
  images: { name: string; digest: Digest; from: 'record' | 'database' | 'manifest' }[]
  lostImages: { name: string; digest: Digest }[]
  blobs: number
  damagedBlobs: Digest[]
  snapshots: number
  lostSnapshots: LostSnapshot[]
  /** Where the old database, and all that could not be used, is now; nothing is deleted. */
  setAside?: string
}

/**
 * Makes the database of a root again where it is damaged or gone. It takes over
 * - blobs whose bytes have the digest of their name,
 * - committed snapshots, by the record beside the content of each, if their parents are taken over too,
 * - images, by their records, by the old database as far as it can be read, and by manifests that neither names.
 *
 * The old database, and all that is not taken over, is moved to a directory below `set-aside`. It can be killed at any time, and run
 * again. NOT_FOUND, ROOT_FOREIGN, FAILED_PRECONDITION (a newer layercast wrote the root), SYSTEM_CALL_FAILED, ABORTED.
 */
export async function rebuildRoot(options: RebuildOptions): Promise<Rebuilt> {
  const { dryRun = false, signal = new AbortController().signal } = options
  const layout = layoutOf(isAbsolute(options.root) ? options.root : resolve(options.root))
  const nothing = {
    root: layout.root,
    whole: true,
    dryRun,
    images: [],
    lostImages: [],
    blobs: 0,
    damagedBlobs: [],
    snapshots: 0,
    lostSnapshots: [],
  }
  const damage = damageOf(layout)
  if (damage === undefined) return nothing
  const blobs = await scanBlobs(layout, signal)
  const snapshots = scanSnapshots(layout)
  const images = scanImages(layout, blobs.whole)
  signal.throwIfAborted()
  const setAside = dryRun ? undefined : replace(layout, blobs, snapshots, images)
  return {
    ...nothing,
    whole: false,
    damage,
    images: images.whole.map(({ name, target, from }) => ({ name, digest: target.digest, from })),
    lostImages: images.lost,
    blobs: blobs.whole.size,
    damagedBlobs: blobs.damaged.map(({ digest }) => digest),
    snapshots: snapshots.whole.length,
    lostSnapshots: snapshots.lost,
    ...(setAside === undefined ? {} : { setAside }),
  }
}

/** What is wrong with the database; undefined where it is whole. NOT_FOUND where there is no root. */
function damageOf(layout: Layout): string | undefined {
  try {
    RootDatabase.open(layout).close()
  } catch (error) {
    if (hasCode(error, 'DATABASE_DAMAGED')) return String(error.detail['damage'] ?? error.message)
    throw error
  }
  if (rootState(layout) !== 'absent') return undefined
  throw new LayercastError('NOT_FOUND', `there is no root of layercast's at ${layout.root}`, {
    fix: 'Name one with --root.',
    detail: { root: layout.root },
  })
}

/** Moves away what is not taken over, and puts the new database in its place. Nothing before this step changes anything. */
function replace(layout: Layout, blobs: FoundBlobs, snapshots: FoundSnapshots, images: FoundImages): string {
  writeMark(layout)
  makeTree(layout)
  const place = join(layout.setAside, new Date().toISOString().replaceAll(':', '-'))
  mkdirSync(place, { recursive: true, mode: 0o700 })
  // The database first: after a kill, the next run finds a root without a database, and rebuilds it.
  for (const suffix of ['', '-wal', '-shm', '-journal']) move(layout, `${layout.database}${suffix}`, place)
  for (const { path, digest } of blobs.damaged) {
    move(layout, path, place)
    move(layout, blobRecordPath(layout, digest), place)
  }
  for (const { path } of snapshots.lost) move(layout, path, place)
  for (const path of images.unreadable) move(layout, path, place)
  for (const { name } of images.lost) move(layout, imageRecordPath(layout, name), place)
  createDatabase(layout, (db) => fill(db, blobs, snapshots, images))
  return place
}

/** Moves a path into `place`, under the same path relative to the root, so that a person finds it. */
function move({ root }: Layout, path: string, place: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return
  const target = join(place, relative(root, path))
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  renameSync(path, target)
}

function fill(db: DatabaseSync, { whole: blobs }: FoundBlobs, snapshots: FoundSnapshots, images: FoundImages): void {
  const chainIDs = new Set(snapshots.whole.map(({ name }) => name))
  const blob = db.prepare('insert into blobs (digest, size, labels, created, updated) values (?, ?, ?, ?, ?)')
  for (const info of blobs.values()) {
    const labels = labelsOf(info, images.gcLabels.get(info.digest), chainIDs)
    blob.run(info.digest, info.size, encodeLabels(labels), info.createdAt.getTime(), info.updatedAt.getTime())
  }
  const image = db.prepare('insert into images (name, target, labels, created, updated) values (?, ?, ?, ?, ?)')
  for (const { name, target, labels, createdAt, updatedAt } of images.whole) {
    image.run(name, JSON.stringify(target), encodeLabels(labels), createdAt.getTime(), updatedAt.getTime())
  }
  const snapshot = db.prepare(
    `insert into snapshots (id, name, kind, parent, labels, size, inodes, created, updated)
     values (?, ?, 'committed', ?, ?, ?, ?, ?, ?)`,
  )
  const numbers = new Map<string, number>()
  for (const { id, name, parent, labels, size, inodes, createdAt, updatedAt } of snapshots.whole) {
    numbers.set(name, id)
    const below = numbers.get(parent) ?? null
    snapshot.run(id, name, below, encodeLabels(labels), size, inodes, createdAt.getTime(), updatedAt.getTime())
  }
}

/**
 * The labels of a blob in the new database: its own, and the gc labels of a manifest or index. A gc label that names a snapshot which
 * was not taken over is left out, because it says that the chain is ready.
 */
function labelsOf({ labels }: ContentInfo, gcLabels: Labels = {}, chainIDs: ReadonlySet<string>): Labels {
  const kept = Object.entries(labels).filter(
    ([key, value]) => !key.startsWith(`${GC_REF_SNAPSHOT}.`) || chainIDs.has(value),
  )
  return { ...gcLabels, ...Object.fromEntries(kept) }
}
