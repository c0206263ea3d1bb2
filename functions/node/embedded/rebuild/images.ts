/** The images that lie under a root: by their records, by what the old database still says, and by their manifests. */
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
import { recordOf } from '../images.ts'
import { blobPath, type Layout } from '../layout.ts'
import { imageRecords } from '../records.ts'

export interface FoundImage extends ImageRecord {
  /** Where its name comes from; `manifest`: nothing says it, and it was given one. */
  from: 'record' | 'database' | 'manifest'
}

export interface FoundImages {
  whole: FoundImage[]
  /** Names whose manifest is not there any more. */
  lost: { name: string; digest: Digest }[]
  /** Files that should be records and are not. */
  unreadable: string[]
  /** The labels that manifests and indexes have by what is in them. */
  gcLabels: Map<Digest, Labels>
}

interface Document {
  descriptor: Descriptor
  labels: Labels
  children: Digest[]
}

/** Finds the images whose manifests or indexes are among the blobs. */
export function findImages(layout: Layout, blobs: ReadonlyMap<Digest, ContentInfo>): FoundImages {
  const unreadable: string[] = []
  const named = new Map<string, FoundImage>()
  for (const record of salvage(layout)) named.set(record.name, { ...record, from: 'database' })
  // Each is written with its row: it is never older, and no page of it can be another's.
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

/** A blob as the manifest or index that it is; undefined where it is none. */
function documentOf(layout: Layout, { digest, size }: ContentInfo): Document | undefined {
  if (size > MAX_DOCUMENT_BYTES) return undefined
  const bytes = readFileSync(blobPath(layout, digest))
  // 0x7b is `{`: layers need not be tried.
  if (bytes[0] !== 0x7b) return undefined
  const descriptorOf = ({ mediaType }: Descriptor): Descriptor => ({ mediaType, digest, size })
  const manifest = orUndefined(() => parseManifest(bytes))
  if (manifest !== undefined) {
    const { config, layers, descriptor } = manifest
    const children = [config, ...layers].map((child) => child.digest)
    return { descriptor: descriptorOf(descriptor), labels: manifestGcLabels(manifest), children }
  }
  const index = orUndefined(() => parseIndex(bytes))
  // Anything without `manifests` reads as an empty index, a config too.
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
 * The images that can still be read off the old database. Of all that it says this alone proves itself: a name stands for
 * a digest, and the blob of that digest is there or is not.
 */
function salvage({ database }: Layout): ImageRecord[] {
  const found: ImageRecord[] = []
  let db: DatabaseSync | undefined
  try {
    const url = pathToFileURL(database)
    url.searchParams.set('immutable', '1')
    db = new DatabaseSync(url, { readOnly: true })
    // One after another: what comes before the damage counts.
    for (const row of db.prepare('select * from images').iterate()) {
      const record = recordOf(row)
      if (isDigest(record.target.digest) && typeof record.target.mediaType === 'string') found.push(record)
    }
  } catch (error) {
    // That it cannot be read is why it is rebuilt.
    const isExpected = error instanceof LayercastError || (error as { code?: unknown }).code === 'ERR_SQLITE_ERROR'
    if (!isExpected) throw error
  } finally {
    db?.close()
  }
  return found
}
