import type { D1Database } from '@cloudflare/workers-types'
import type { Digest } from '../../image/digest.ts'
import { keepText, readText } from './texts.ts'

const MEDIA_TYPE = 'SELECT media_type FROM images WHERE fleet = ? AND digest = ?'

export interface StoredImage {
  mediaType: string
  bytes: Uint8Array
}

/** What became of a document: the type that it is kept as is that which it came under first. */
interface Kept {
  isNew: boolean
  mediaType: string
}

/** Keeps an image document; one that is there stays as it is. */
export async function keepImage(db: D1Database, fleet: string, digest: Digest, image: StoredImage): Promise<Kept> {
  const insert = db.prepare(
    'INSERT OR IGNORE INTO images (fleet, digest, media_type, size, created_at) VALUES (?, ?, ?, ?, ?)',
  )
  const [inserted, kept] = await db.batch<{ media_type: string }>([
    insert.bind(fleet, digest, image.mediaType, image.bytes.byteLength, Date.now()),
    db.prepare(MEDIA_TYPE).bind(fleet, digest),
    ...keepText(db, fleet, digest, image.bytes),
  ])
  return { isNew: (inserted?.meta.changes ?? 0) > 0, mediaType: kept?.results[0]?.media_type ?? image.mediaType }
}

/** An image document by its digest, or undefined. */
export async function readImage(db: D1Database, fleet: string, digest: string): Promise<StoredImage | undefined> {
  const mediaType = await db.prepare(MEDIA_TYPE).bind(fleet, digest).first<string>('media_type')
  return mediaType === null ? undefined : { mediaType, bytes: await readText(db, fleet, digest) }
}
