/**
 * Records: a copy of what the database says of an image, blob or committed snapshot, from which a lost database can be made again.
 * Each is one small file, replaced by a rename, under the write lock of the change that it belongs to.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isDigest, type Digest } from '../../image/digest.ts'
import type { ContentInfo, ImageRecord, Labels, SnapshotInfo, Usage } from '../ports.ts'
import { blobRecordPath, imageRecordPath, snapshotRecordPath, type Layout } from './layout.ts'
import { processName } from './process-name.ts'

const IMAGE = 'layercast.image/v1'
const BLOB = 'layercast.blob/v1'
const SNAPSHOT = 'layercast.snapshot/v1'

/** A committed snapshot, with the number that its directory has. */
export type SnapshotRecord = Omit<SnapshotInfo, 'kind'> & Usage & { id: number }

export function keepImageRecord(layout: Layout, { name, target, ...rest }: ImageRecord): void {
  keep(layout, imageRecordPath(layout, name), { schema: IMAGE, name, target, ...rest })
}

export function dropImageRecord(layout: Layout, name: string): void {
  rmSync(imageRecordPath(layout, name), { force: true })
}

export function keepBlobRecord(layout: Layout, { digest, size, labels, createdAt, updatedAt }: ContentInfo): void {
  keep(layout, blobRecordPath(layout, digest), { schema: BLOB, digest, size, labels, createdAt, updatedAt })
}

export function dropBlobRecord(layout: Layout, digest: Digest): void {
  rmSync(blobRecordPath(layout, digest), { force: true })
}

/** Only for a snapshot whose content is complete, because a rebuild relies on it. */
export function keepSnapshotRecord(layout: Layout, record: SnapshotRecord): void {
  keep(layout, snapshotRecordPath(layout, record.id), { schema: SNAPSHOT, ...record })
}

export function dropSnapshotRecord(layout: Layout, id: number): void {
  rmSync(snapshotRecordPath(layout, id), { force: true })
}

/** The names of the record files. */
export function recordNames(layout: Layout, of: 'images' | 'blobs'): Set<string> {
  const path = join(layout.records, of)
  return new Set(lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(path) : [])
}

/** Removes record files by their names. Files with other names than layercast gives are not its own, and stay. */
export function dropRecords(layout: Layout, of: 'images' | 'blobs', files: Iterable<string>): void {
  for (const file of files) {
    if (/^(?:sha\d+-)?[0-9a-f]{64,128}\.json$/.test(file)) rmSync(join(layout.records, of, file))
  }
}

/** The images in the records. `unreadable` is called with the path of a file that is no valid record. */
export function imageRecords(layout: Layout, unreadable: (path: string) => void): ImageRecord[] {
  return [...recordNames(layout, 'images')].flatMap((file) => {
    const path = join(layout.records, 'images', file)
    const read = readRecord(path, IMAGE)
    const name = read?.['name']
    const target = read?.['target'] as ImageRecord['target'] | undefined
    if (
      read !== undefined &&
      typeof name === 'string' &&
      imageRecordPath(layout, name) === path &&
      isDescriptor(target)
    ) {
      return [{ name, target, ...storedIn(read) }]
    }
    unreadable(path)
    return []
  })
}

/** The labels and times of a blob; undefined where it has no record. */
export function blobRecord(
  layout: Layout,
  digest: Digest,
): Pick<ContentInfo, 'labels' | 'createdAt' | 'updatedAt'> | undefined {
  const read = readRecord(blobRecordPath(layout, digest), BLOB)
  return read?.['digest'] === digest ? storedIn(read) : undefined
}

/** A committed snapshot; undefined where the directory has no valid record. */
export function snapshotRecord(layout: Layout, id: number): SnapshotRecord | undefined {
  const read = readRecord(snapshotRecordPath(layout, id), SNAPSHOT)
  const { name, parent } = read ?? {}
  if (read === undefined || read['id'] !== id || typeof name !== 'string' || typeof parent !== 'string')
    return undefined
  return { id, name, parent, ...storedIn(read), size: numberIn(read['size']), inodes: numberIn(read['inodes']) }
}

function keep(layout: Layout, path: string, record: object): void {
  const made = join(layout.ingest, processName())
  try {
    writeFileSync(made, `${JSON.stringify(record)}\n`, { mode: 0o600, flag: 'wx' })
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    renameSync(made, path)
  } catch (error) {
    rmSync(made, { force: true })
    throw error
  }
}

function readRecord(path: string, schema: string): Record<string, unknown> | undefined {
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown> | null
    return read?.['schema'] === schema ? read : undefined
  } catch (error) {
    // After a power cut a file can be incomplete.
    if (error instanceof SyntaxError) return undefined
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

function storedIn(read: Record<string, unknown>): { labels: Labels; createdAt: Date; updatedAt: Date } {
  const labels = Object.entries((read['labels'] ?? {}) as object).filter(([, value]) => typeof value === 'string')
  return {
    labels: Object.fromEntries(labels) as Labels,
    createdAt: dateIn(read['createdAt']),
    updatedAt: dateIn(read['updatedAt']),
  }
}

function dateIn(value: unknown): Date {
  const date = new Date(String(value))
  return Number.isNaN(date.getTime()) ? new Date() : date
}

function numberIn(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
}

function isDescriptor(target: ImageRecord['target'] | undefined): target is ImageRecord['target'] {
  return (
    typeof target === 'object' &&
    target !== null &&
    typeof target.mediaType === 'string' &&
    typeof target.digest === 'string' &&
    isDigest(target.digest) &&
    Number.isSafeInteger(target.size)
  )
}
