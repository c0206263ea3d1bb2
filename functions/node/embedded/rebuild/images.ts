/** The images below a root: from their records, from what can be read of the old database, and from manifests that neither names. */
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import { isDigest, type Digest } from '../../../image/digest.ts'
import { parseIndex } from '../../../image/image-index.ts'
import { MAX_DOCUMENT_BYTES } from '../../../image/json.ts'
import { parseManifest } from '../../../image/manifest.ts'
import { indexGcLabels, manifestGcLabels } from '../../../plan/gc-labels.ts'
import type { ContentInfo, ImageRecord, Labels } from '../../ports.ts'
import { imageOf } from '../images.ts'
import { blobPath, type Layout } from '../layout.ts'
import { imageRecords } from '../records.ts'

export interface FoundImage extends ImageRecord {
  /** Where its name comes from. `manifest`: the name is not known, and it was given one. */
  from: 'record' | 'database' | 'manifest'
}

export interface FoundImages {
  whole: FoundImage[]
  /** Names whose manifest is lost. */
  lost: { name: string; digest: Digest }[]
  /** Paths of files among the records that are no valid records. */
  unreadable: string[]
  /** The gc labels of manifests and indexes, made again from their content. */
  gcLabels: Map<Digest, Labels>
}

interface Document {
  descriptor: Descriptor
  labels: Labels
  children: Digest[]
}

/** Finds the images whose manifests or indexes are among the blobs. */
export function scanImages(layout: Layout, blobs: ReadonlyMap<Digest, ContentInfo>): FoundImages {
  const unreadable: string[] = []
  const named = new Map<string, FoundImage>()
  for (const record of salvage(layout)) named.set(record.name, { ...record, from: 'database' })
  // Later, so that records win: each is written with its row, so it is never older, and it is not damaged by another row's page.
  for (const record of imageRecords(layout, (path) => unreadable.push(path))) {
    named.set(record.name, { ...record, from: 'record' })
  }
  const whole = [...named.values()].filter(({ target }) => blobs.has(target.digest))
  const lost = [...named.values()]
    .filter(({ target }) => !blobs.has(target.digest))
    .map(({ name, target }) => ({ name, digest: target.digest }))

  const documents = [...blobs.values()].flatMap((blob) => documentOf(layout, blob) ?? [])
  const below = new Set(documents.flatMap(({ children }) => children))
  const known = new Set(whole.map(({ target }) => target.digest))
  for (const { descriptor } of documents) {
    const { digest } = descriptor
    if (known.has(digest) || below.has(digest)) continue
    const name = `localhost/recovered:${digest.replace(':', '-')}`
    const { createdAt, updatedAt } = blobs.get(digest) ?? { createdAt: new Date(), updatedAt: new Date() }
    whole.push({ name, target: descriptor, labels: {}, createdAt, updatedAt, from: 'manifest' })
  }
  const gcLabels = new Map(documents.map(({ descriptor, labels }) => [descriptor.digest, labels]))
  return { whole, lost, unreadable, gcLabels }
}

/** The manifest or index in a blob; undefined where it is neither. */
function documentOf(layout: Layout, { digest, size }: ContentInfo): Document | undefined {
  if (size > MAX_DOCUMENT_BYTES) return undefined
  const bytes = readFileSync(blobPath(layout, digest))
  // 0x7b is `{`, with which no layer begins.
  if (bytes[0] !== 0x7b) return undefined
  const descriptorOf = ({ mediaType }: Descriptor): Descriptor => ({ mediaType, digest, size })
  const manifest = orUndefined(() => parseManifest(bytes))
  if (manifest !== undefined) {
    const { config, layers, descriptor } = manifest
    const children = [config, ...layers].map((child) => child.digest)
    return { descriptor: descriptorOf(descriptor), labels: manifestGcLabels(manifest), children }
  }
  const index = orUndefined(() => parseIndex(bytes))
  // Any JSON object without `manifests`, such as a config, reads as an empty index.
  if (index === undefined || index.manifests.length === 0) return undefined
  const children = index.manifests.map((child) => child.digest)
  return { descriptor: descriptorOf(index.descriptor), labels: indexGcLabels(index.manifests), children }
}

function orUndefined<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof LayercastError) return undefined
    throw error
  }
}

/**
 * The images that can still be read from the old database. Nothing else of it is used: only for a name and its digest can it be
 * checked that they are right, because the blob of that digest is there or is not.
 */
function salvage({ database }: Layout): ImageRecord[] {
  const found: ImageRecord[] = []
  let db: DatabaseSync | undefined
  try {
    const url = pathToFileURL(database)
    url.searchParams.set('immutable', '1')
    db = new DatabaseSync(url, { readOnly: true })
    // One after another, so that the rows before the damage are kept.
    for (const row of db.prepare('select * from images').iterate()) {
      const record = imageOf(row)
      if (isDigest(record.target.digest) && typeof record.target.mediaType === 'string') found.push(record)
    }
  } catch (error) {
    // It is rebuilt because it cannot be read.
    const isExpected = error instanceof LayercastError || (error as { code?: unknown }).code === 'ERR_SQLITE_ERROR'
    if (!isExpected) throw error
  } finally {
    db?.close()
  }
  return found
}
