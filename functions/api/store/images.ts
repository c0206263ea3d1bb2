import type { D1Database } from '@cloudflare/workers-types'
import type { Digest } from '../../image/digest.ts'
import { keepText, readText } from './texts.ts'

export interface StoredImage {
  mediaType: string
  bytes: Uint8Array
}

/** Keeps an image document. True if it is new. */
export async function keepImage(db: D1Database, fleet: string, digest: Digest, image: StoredImage): Promise<boolean> {
  const insert = db.prepare(
    'INSERT OR IGNORE INTO images (fleet, digest, media_type, size, created_at) VALUES (?, ?, ?, ?, ?)',
  )
  const [inserted] = await db.batch([
    insert.bind(fleet, digest, image.mediaType, image.bytes.byteLength, Date.now()),
    ...keepText(db, fleet, digest, image.bytes),
  ])
  return (inserted?.meta.changes ?? 0) > 0
}

/** An image document by its digest, or undefined. */
export async function readImage(db: D1Database, fleet: string, digest: string): Promise<StoredImage | undefined> {
  const select = db.prepare('SELECT media_type FROM images WHERE fleet = ? AND digest = ?')
  const mediaType = await select.bind(fleet, digest).first<string>('media_type')
  return mediaType === null ? undefined : { mediaType, bytes: await readText(db, fleet, digest) }
}
