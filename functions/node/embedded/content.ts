/** The content store of a root. */
import { createReadStream, lstatSync, mkdirSync, renameSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { parseDigest, type Digest } from '../../image/digest.ts'
import type { ContentInfo, ContentStore, Labels } from '../ports.ts'
import { verified } from '../verified.ts'
import { discardBlob } from './collect.ts'
import type { RootDatabase, Row } from './database.ts'
import { writeFailure } from './failures.ts'
import { checkLabels, mergeLabels } from './labels.ts'
import { blobDirectory, blobPath, type Layout } from './layout.ts'
import type { Hold } from './lease-holder.ts'
import { processName } from './process-name.ts'
import { dropBlobRecord, keepBlobRecord } from './records.ts'
import { encodeLabels, storedOf } from './rows.ts'
import { removeTrash } from './trash.ts'

type Expected = Pick<Descriptor, 'digest' | 'size'>

const READ_BYTES = 1 << 20

/** Blobs are files named by their digest; the database has their labels and times. Errors as the port says. */
export function embeddedContent(database: RootDatabase, layout: Layout, hold: Hold): ContentStore {
  const find = (digest: Digest): Row | undefined => database.get('select * from blobs where digest = ?', digest)
  const get = (digest: Digest): Row => {
    const row = find(digest)
    if (row === undefined) throw notFound(digest)
    return row
  }

  const relabel = (row: Row, labels: Labels): ContentInfo => {
    const digest = String(row['digest'])
    const merged = encodeLabels(mergeLabels(storedOf(row).labels, labels))
    database.run('update blobs set labels = ?, updated = ? where digest = ?', merged, Date.now(), digest)
    const info = blobOf(get(digest as Digest))
    keepBlobRecord(layout, info)
    return info
  }

  /** Whether the blob is there already; then the lease holds it, and it gets the labels, as if it had been written now. */
  const takeExisting = ({ digest, size }: Expected, labels: Labels): boolean => {
    const row = find(digest)
    // A file that is lost, or has another size, is not the blob: what is written takes its place.
    if (row === undefined || sizeOf(blobPath(layout, digest)) !== size) return false
    hold('blob', digest)
    if (Object.keys(labels).length > 0) relabel(row, labels)
    return true
  }

  /**
   * Makes the written file a blob, with its row and record.
   * @param anew whether it replaces one that is there
   */
  const register = async (expected: Expected, ingest: string, labels: Labels, anew: boolean): Promise<void> => {
    const { digest, size } = expected
    try {
      await database.transaction(() => {
        if (!anew && takeExisting(expected, labels)) return
        hold('blob', digest)
        mkdirSync(blobDirectory(layout, digest), { recursive: true, mode: 0o711 })
        // The file comes before the row, so that a row without a file means that the file was taken away later.
        renameSync(ingest, blobPath(layout, digest))
        const now = Date.now()
        const row = find(digest)
        if (row !== undefined) {
          database.run('update blobs set size = ? where digest = ?', size, digest)
          relabel(row, labels)
          return
        }
        database.run(
          'insert into blobs (digest, size, labels, created, updated) values (?, ?, ?, ?, ?)',
          digest,
          size,
          encodeLabels(labels),
          now,
          now,
        )
        keepBlobRecord(layout, blobOf(get(digest)))
      })
    } catch (error) {
      // On a full disk, free the space of the file at once.
      await removeTrash(discardBlob(database, layout, digest))
      throw error
    }
  }

  /** Writes the data into the ingest directory, and makes it a blob once its digest has been checked. */
  const take = async (
    expected: Expected,
    data: AsyncIterable<Uint8Array>,
    labels: Labels,
    anew: boolean,
  ): Promise<void> => {
    const ingest = join(layout.ingest, processName())
    try {
      const file = await open(ingest, 'wx', 0o644)
      try {
        for await (const chunk of verified(data, expected)) await file.writeFile(chunk)
        await file.sync()
      } finally {
        await file.close()
      }
      await register(expected, ingest, labels, anew)
    } catch (error) {
      throw writeFailure(layout, error)
    } finally {
      await rm(ingest, { force: true })
    }
  }

  async function* readFile(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array> {
    const path = blobPath(layout, digest)
    try {
      yield* createReadStream(path, { start, end: end - 1, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>
    } catch (cause) {
      // The blob was removed after its row was read.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw notFound(digest, { cause })
      throw cause
    }
  }

  return {
    async info(digest): Promise<ContentInfo> {
      const row = get(digest)
      if (sizeOf(blobPath(layout, digest)) === undefined) throw notFound(digest, { why: ': its file is gone' })
      return blobOf(row)
    },

    async *read(digest, options = {}): AsyncGenerator<Uint8Array> {
      const { offset = 0, length } = options
      get(digest)
      // The size of the file, not of the row: a reader of the whole blob can then see that it was altered.
      const size = sizeOf(blobPath(layout, digest))
      if (size === undefined) throw notFound(digest, { why: ': its file is gone' })
      const end = length === undefined ? size : Math.min(size, offset + length)
      if (offset >= end) return
      yield* readFile(digest, offset, end)
    },

    async write(expected, data, labels = {}): Promise<void> {
      const kept = checkLabels(labels)
      if (await database.transaction(() => takeExisting(expected, kept))) return
      await take(expected, data, kept, false)
    },

    async replace(expected, data, labels = {}): Promise<void> {
      const kept = checkLabels(labels)
      // An empty transaction makes the root, if this is the first change.
      await database.transaction(() => undefined)
      await take(expected, data, kept, true)
    },

    async label(digest, labels): Promise<ContentInfo> {
      return await database.transaction(() => relabel(get(digest), labels))
    },

    async *list(): AsyncGenerator<ContentInfo> {
      for (const row of database.all('select * from blobs order by digest')) yield blobOf(row)
    },

    async remove(digest): Promise<void> {
      // The row first: a file without a row is cleared away at the next change. A process that reads the file can go on reading.
      await database.transaction(() => {
        get(digest)
        dropBlobRecord(layout, digest)
        database.run('delete from blobs where digest = ?', digest)
        database.run("delete from lease_resources where type = 'blob' and name = ?", digest)
      })
      await removeTrash(discardBlob(database, layout, digest))
    },
  }
}

/** The blob of a row of `blobs`. */
export function blobOf(row: Row): ContentInfo {
  return { digest: parseDigest(String(row['digest'])), size: Number(row['size']), ...storedOf(row) }
}

/** The size of a file in bytes; undefined where there is none. */
function sizeOf(path: string): number | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : undefined
}

function notFound(digest: Digest, { cause, why = '' }: { cause?: unknown; why?: string } = {}): LayercastError {
  return new LayercastError('BLOB_NOT_FOUND', `blob ${digest} is not under this root${why}`, {
    fix: blobFix(),
    detail: { digest },
    cause,
  })
}
