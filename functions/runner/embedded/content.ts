import { createReadStream, mkdirSync, renameSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Descriptor } from '../../image/descriptor.ts'
import { parseDigest, type Digest } from '../../image/digest.ts'
import { LayercastError } from '../../image/errors.ts'
import type { ContentInfo, ContentStore, Labels } from '../ports.ts'
import { verified } from '../sources/verified.ts'
import { discardBlob } from './collect.ts'
import type { Database, Row } from './database.ts'
import { checkLabels, mergeLabels } from './labels.ts'
import { blobDirectory, blobPath, type Layout } from './layout.ts'
import type { Hold } from './lease-holder.ts'
import { ownedName } from './owner.ts'
import { dropBlobRecord, keepBlobRecord } from './records.ts'
import { encodeLabels, storedOf } from './rows.ts'
import { writeFailure } from './failures.ts'
import { removeTree } from './sweep.ts'

const READ_BYTES = 1 << 20

/** Blobs as files named by their digest, their labels and times in the database. */
export function embeddedContent(database: Database, layout: Layout, hold: Hold): ContentStore {
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
    const info = infoOf(get(digest as Digest))
    keepBlobRecord(layout, info)
    return info
  }

  /** Whether the blob is there already; then it is held and labelled as if it had been written now. */
  const takeExisting = (digest: Digest, labels: Labels): boolean => {
    const row = find(digest)
    if (row === undefined) return false
    hold('blob', digest)
    if (Object.keys(labels).length > 0) relabel(row, labels)
    return true
  }

  const register = async (
    expected: Pick<Descriptor, 'digest' | 'size'>,
    ingest: string,
    labels: Labels,
  ): Promise<void> => {
    const { digest, size } = expected
    try {
      await database.transaction(() => {
        if (takeExisting(digest, labels)) return
        hold('blob', digest)
        mkdirSync(blobDirectory(layout, digest), { recursive: true, mode: 0o711 })
        // The file comes before its row: a row always has its file.
        renameSync(ingest, blobPath(layout, digest))
        const now = Date.now()
        database.run(
          'insert into blobs (digest, size, labels, created, updated) values (?, ?, ?, ?, ?)',
          digest,
          size,
          encodeLabels(labels),
          now,
          now,
        )
        keepBlobRecord(layout, infoOf(get(digest)))
      })
    } catch (error) {
      // Where the row found no room, the file gives its own back at once.
      await removeTree(discardBlob(database, layout, digest))
      throw error
    }
  }

  async function* readFile(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array> {
    const path = blobPath(layout, digest)
    try {
      yield* createReadStream(path, { start, end: end - 1, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>
    } catch (cause) {
      // Removed since its row was read.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw notFound(digest, cause)
      throw cause
    }
  }

  return {
    async info(digest): Promise<ContentInfo> {
      return infoOf(get(digest))
    },

    async *read(digest, options = {}): AsyncGenerator<Uint8Array> {
      const { offset = 0, length } = options
      const size = Number(get(digest)['size'])
      const end = length === undefined ? size : Math.min(size, offset + length)
      if (offset >= end) return
      yield* readFile(digest, offset, end)
    },

    async write(expected, data, labels = {}): Promise<void> {
      const kept = checkLabels(labels)
      if (await database.transaction(() => takeExisting(expected.digest, kept))) return
      const ingest = join(layout.ingest, ownedName())
      try {
        const file = await open(ingest, 'wx', 0o644)
        try {
          for await (const chunk of verified(data, expected)) await file.writeFile(chunk)
          await file.sync()
        } finally {
          await file.close()
        }
        await register(expected, ingest, kept)
      } catch (error) {
        throw writeFailure(layout, error)
      } finally {
        await rm(ingest, { force: true })
      }
    },

    async label(digest, labels): Promise<ContentInfo> {
      return await database.transaction(() => relabel(get(digest), labels))
    },

    async *list(): AsyncGenerator<ContentInfo> {
      for (const row of database.all('select * from blobs order by digest')) yield infoOf(row)
    },

    async remove(digest): Promise<void> {
      // The row goes first: a file without a row is cleared away at the next change. Whoever reads the file keeps it.
      await database.transaction(() => {
        get(digest)
        dropBlobRecord(layout, digest)
        database.run('delete from blobs where digest = ?', digest)
        database.run("delete from lease_resources where type = 'blob' and name = ?", digest)
      })
      await removeTree(discardBlob(database, layout, digest))
    },
  }
}

/** The blob of a row of `blobs`. */
export function infoOf(row: Row): ContentInfo {
  return { digest: parseDigest(String(row['digest'])), size: Number(row['size']), ...storedOf(row) }
}

function notFound(digest: Digest, cause?: unknown): LayercastError {
  return new LayercastError('BLOB_NOT_FOUND', `blob ${digest} is not under this root`, {
    fix: 'Unpack from a source that has it: oci:DIR, oci-archive:FILE, docker-archive:FILE or docker://NAME.',
    detail: { digest },
    ...(cause === undefined ? {} : { cause }),
  })
}
