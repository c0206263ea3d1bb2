/**
 * What the database says of images, blobs and committed snapshots, once more beside them: from this a lost database is
 * made again. Each is one small file, replaced in one step, under the write lock of the change that it tells of.
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

/** Only of a snapshot whose content is complete: a rebuild believes it. */
export function keepSnapshotRecord(layout: Layout, record: SnapshotRecord): void {
  keep(layout, snapshotRecordPath(layout, record.id), { schema: SNAPSHOT, ...record })
}

export function dropSnapshotRecord(layout: Layout, id: number): void {
  rmSync(snapshotRecordPath(layout, id), { force: true })
}

/** Which records there are, by the names of their files. */
export function recordNames(layout: Layout, of: 'images' | 'blobs'): Set<string> {
  const path = join(layout.records, of)
  return new Set(lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(path) : [])
}

/** Removes records by the names of their files; what has not a record's name is none of layercast's. */
export function dropRecords(layout: Layout, of: 'images' | 'blobs', files: Iterable<string>): void {
  for (const file of files) {
    if (/^(?:sha\d+-)?[0-9a-f]{64,128}\.json$/.test(file)) rmSync(join(layout.records, of, file))
  }
}

/** The images that records name. A file that is no record of one is passed over: `unreadable` is called with its path. */
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

/** The labels and times of a blob; undefined where no record says them. */
export function blobRecord(
  layout: Layout,
  digest: Digest,
): Pick<ContentInfo, 'labels' | 'createdAt' | 'updatedAt'> | undefined {
  const read = readRecord(blobRecordPath(layout, digest), BLOB)
  return read?.['digest'] === digest ? storedIn(read) : undefined
}

/** A committed snapshot; undefined where its directory does not say that it is one. */
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
    // Half of a file, which a power cut can leave, is none.
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
