/** The content store of a root. */
import { createReadStream, lstatSync, mkdirSync, renameSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { parseDigest, type Digest } from '../../image/digest.ts'
import type { ContentInfo, ContentStore, Labels, Range } from '../ports.ts'
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
export class EmbeddedContent implements ContentStore {
  readonly #database: RootDatabase
  readonly #layout: Layout
  readonly #hold: Hold

  constructor(database: RootDatabase, layout: Layout, hold: Hold) {
    this.#database = database
    this.#layout = layout
    this.#hold = hold
  }

  async info(digest: Digest): Promise<ContentInfo> {
    const row = this.#get(digest)
    if (sizeOf(blobPath(this.#layout, digest)) === undefined) throw notFound(digest, { why: ': its file is gone' })
    return blobOf(row)
  }

  async *read(digest: Digest, options: Range = {}): AsyncGenerator<Uint8Array> {
    const { offset = 0, length } = options
    this.#get(digest)
    // The size of the file, not of the row: a reader of the whole blob can then see that it was altered.
    const size = sizeOf(blobPath(this.#layout, digest))
    if (size === undefined) throw notFound(digest, { why: ': its file is gone' })
    const end = length === undefined ? size : Math.min(size, offset + length)
    if (offset >= end) return
    yield* this.#readFile(digest, offset, end)
  }

  async write(expected: Expected, data: AsyncIterable<Uint8Array>, labels: Labels = {}): Promise<void> {
    const kept = checkLabels(labels)
    if (await this.#database.transaction(() => this.#takeExisting(expected, kept))) return
    await this.#take(expected, data, kept, false)
  }

  async replace(expected: Expected, data: AsyncIterable<Uint8Array>, labels: Labels = {}): Promise<void> {
    const kept = checkLabels(labels)
    // An empty transaction makes the root, if this is the first change.
    await this.#database.transaction(() => undefined)
    await this.#take(expected, data, kept, true)
  }

  async label(digest: Digest, labels: Labels): Promise<ContentInfo> {
    return await this.#database.transaction(() => this.#relabel(this.#get(digest), labels))
  }

  async *list(): AsyncGenerator<ContentInfo> {
    for (const row of this.#database.all('select * from blobs order by digest')) yield blobOf(row)
  }

  async remove(digest: Digest): Promise<void> {
    // The row first: a file without a row is cleared away at the next change. A process that reads the file can go on reading.
    await this.#database.transaction(() => {
      this.#get(digest)
      dropBlobRecord(this.#layout, digest)
      this.#database.run('delete from blobs where digest = ?', digest)
      this.#database.run("delete from lease_resources where type = 'blob' and name = ?", digest)
    })
    await removeTrash(discardBlob(this.#database, this.#layout, digest))
  }

  #find(digest: Digest): Row | undefined {
    return this.#database.get('select * from blobs where digest = ?', digest)
  }

  #get(digest: Digest): Row {
    const row = this.#find(digest)
    if (row === undefined) throw notFound(digest)
    return row
  }

  #relabel(row: Row, labels: Labels): ContentInfo {
    const digest = String(row['digest'])
    const merged = encodeLabels(mergeLabels(storedOf(row).labels, labels))
    this.#database.run('update blobs set labels = ?, updated = ? where digest = ?', merged, Date.now(), digest)
    const info = blobOf(this.#get(digest as Digest))
    keepBlobRecord(this.#layout, info)
    return info
  }

  /** Whether the blob is there already; then the lease holds it, and it gets the labels, as if it had been written now. */
  #takeExisting({ digest, size }: Expected, labels: Labels): boolean {
    const row = this.#find(digest)
    // A file that is lost, or has another size, is not the blob: what is written takes its place.
    if (row === undefined || sizeOf(blobPath(this.#layout, digest)) !== size) return false
    this.#hold('blob', digest)
    if (Object.keys(labels).length > 0) this.#relabel(row, labels)
    return true
  }

  /**
   * Writes the data into the ingest directory, and makes it a blob once its digest has been checked.
   * @param anew whether it replaces one that is there
   */
  async #take(expected: Expected, data: AsyncIterable<Uint8Array>, labels: Labels, anew: boolean): Promise<void> {
    const ingest = join(this.#layout.ingest, processName())
    try {
      const file = await open(ingest, 'wx', 0o644)
      try {
        for await (const chunk of verified(data, expected)) await file.writeFile(chunk)
        await file.sync()
      } finally {
        await file.close()
      }
      await this.#register(expected, ingest, labels, anew)
    } catch (error) {
      throw writeFailure(this.#layout, error)
    } finally {
      await rm(ingest, { force: true })
    }
  }

  /** Makes the written file a blob, with its row and record. */
  async #register(expected: Expected, ingest: string, labels: Labels, anew: boolean): Promise<void> {
    try {
      await this.#database.transaction(() => {
        if (anew || !this.#takeExisting(expected, labels)) this.#place(expected, ingest, labels)
      })
    } catch (error) {
      // On a full disk, free the space of the file at once.
      await removeTrash(discardBlob(this.#database, this.#layout, expected.digest))
      throw error
    }
  }

  /** Moves the written file to its place, and writes its row and record. */
  #place({ digest, size }: Expected, ingest: string, labels: Labels): void {
    this.#hold('blob', digest)
    mkdirSync(blobDirectory(this.#layout, digest), { recursive: true, mode: 0o711 })
    // The file comes before the row, so that a row without a file means that the file was taken away later.
    renameSync(ingest, blobPath(this.#layout, digest))
    const now = Date.now()
    const row = this.#find(digest)
    if (row !== undefined) {
      this.#database.run('update blobs set size = ? where digest = ?', size, digest)
      this.#relabel(row, labels)
      return
    }
    this.#database.run(
      'insert into blobs (digest, size, labels, created, updated) values (?, ?, ?, ?, ?)',
      digest,
      size,
      encodeLabels(labels),
      now,
      now,
    )
    keepBlobRecord(this.#layout, blobOf(this.#get(digest)))
  }

  async *#readFile(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array> {
    const path = blobPath(this.#layout, digest)
    try {
      yield* createReadStream(path, { start, end: end - 1, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>
    } catch (cause) {
      // The blob was removed after its row was read.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw notFound(digest, { cause })
      throw cause
    }
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
