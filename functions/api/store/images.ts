/** Image documents (manifests, indexes, configs) by digest. */
import type { Digest } from '../../image/digest.ts'
import type { FleetDatabase } from './fleet-database.ts'
import { keepText, readText } from './texts.ts'

const MEDIA_TYPE = 'SELECT media_type FROM images WHERE fleet = ? AND digest = ?'

interface StoredImage {
  mediaType: string
  bytes: Uint8Array
}

interface Kept {
  isNew: boolean
  /** The type that the document was first stored with; a later one does not change it. */
  mediaType: string
}

export function imageStore(bound: FleetDatabase) {
  const { db, fleet } = bound
  return {
    /** Keeps a document. One that is there already is left as it is. */
    async keep(digest: Digest, image: StoredImage): Promise<Kept> {
      const insert = db.prepare(
        'INSERT OR IGNORE INTO images (fleet, digest, media_type, size, created_at) VALUES (?, ?, ?, ?, ?)',
      )
      const [inserted, kept] = await db.batch<{ media_type: string }>([
        insert.bind(fleet, digest, image.mediaType, image.bytes.byteLength, Date.now()),
        db.prepare(MEDIA_TYPE).bind(fleet, digest),
        ...keepText(bound, digest, image.bytes),
      ])
      return { isNew: (inserted?.meta.changes ?? 0) > 0, mediaType: kept?.results[0]?.media_type ?? image.mediaType }
    },

    /** A document, or undefined. */
    async read(digest: string): Promise<StoredImage | undefined> {
      const mediaType = await db.prepare(MEDIA_TYPE).bind(fleet, digest).first<string>('media_type')
      return mediaType === null ? undefined : { mediaType, bytes: await readText(bound, digest) }
    },
  }
}
