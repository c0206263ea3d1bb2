/** The documents of an image (indexes, manifest, config), read from the content store or from a source, each once. */
import { LayercastError } from '../../errors.ts'
import { DAMAGED_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { parseIndex } from '../../image/image-index.ts'
import { MAX_DOCUMENT_BYTES } from '../../image/json.ts'
import { isIndex } from '../../image/media-type.ts'
import type { Platform } from '../../image/platform.ts'
import { resolveImage } from '../../image/resolve.ts'
import { faultOf } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { ContentStore } from '../../node/ports.ts'

/** A manifest, index or config as it was read. Its digest has been checked. */
interface Document {
  descriptor: Descriptor
  bytes: Uint8Array
}

/** The documents of one image, from what its name points to down to the config. */
export interface Documents {
  /** The indexes on the way, the outermost first; empty where the name points to the manifest. */
  indexes: Document[]
  manifest: Document
  config: Document
}

/** Reads the documents of one platform, all digests checked. Errors as `resolveImage`, and what reading throws. */
export type ReadDocuments = (target: Descriptor, platform: Platform) => Promise<Documents>

/** Fetches a missing or damaged document into the content store, or throws. */
export type Heal = (document: Descriptor) => Promise<void>

/** The descriptor without the annotations and the platform that a document gave it. */
export function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/**
 * A reader of documents in the content store. As in containerd, the size that a descriptor states does not count: the digest
 * alone says which document it is.
 * @param heal called for a document that is missing or damaged, which is then read again
 */
export function heldDocuments(content: ContentStore, heal?: Heal): ReadDocuments {
  return reader((document) => readHeld(content, document, heal), { anySize: true })
}

/**
 * A reader of documents that a source has.
 * @param read gives a blob's bytes in order
 */
export function sourceDocuments(read: (document: Descriptor) => AsyncIterable<Uint8Array>): ReadDocuments {
  return reader((document) => collect(read(document), document))
}

/**
 * A document of the content store. BLOB_NOT_FOUND; DIGEST_MISMATCH for one that is damaged and cannot be healed;
 * DOCUMENT_TOO_LARGE.
 */
export async function readHeld(content: ContentStore, document: Descriptor, heal?: Heal): Promise<Uint8Array> {
  const { digest } = document
  const again = (): Promise<Uint8Array> => collect(content.read(digest), document, MAX_DOCUMENT_BYTES)
  const info = await infoOrNone(content, digest)
  if (info === undefined) {
    await heal?.(document)
    return await again()
  }
  // Too large: `collect` refuses it, and nothing is hashed before.
  if (info.size > MAX_DOCUMENT_BYTES) return await again()
  const parts: Uint8Array[] = []
  const fault = await faultOf(content, document, undefined, (chunk) => void parts.push(chunk))
  if (fault === undefined) return Buffer.concat(parts)
  if (heal === undefined) {
    throw new LayercastError('DIGEST_MISMATCH', `blob ${digest} of the content store ${fault}`, {
      fix: DAMAGED_FIX,
      detail: { digest, fault },
    })
  }
  await heal(document)
  return await again()
}

/** Keeps the documents that it has read, so that reading for another platform reads only those that are new. */
function reader(
  read: (document: Descriptor) => Promise<Uint8Array>,
  options?: Parameters<typeof resolveImage>[3],
): ReadDocuments {
  const known = new Map<Digest, Document>()
  const readOne = async (descriptor: Descriptor): Promise<Uint8Array> => {
    const document = known.get(descriptor.digest) ?? { descriptor, bytes: await read(descriptor) }
    known.set(descriptor.digest, document)
    return document.bytes
  }
  return async (target, platform) => {
    const image = await resolveImage(target, readOne, platform, options)
    const manifest = documentOf(known, image.manifest)
    const config = documentOf(known, image.config)
    const indexes = pathTo(target, manifest.descriptor.digest, known)
    if (indexes === undefined) throw new RangeError(`${manifest.descriptor.digest} is not below ${target.digest}`)
    return { indexes, manifest, config }
  }
}

/**
 * The bytes of a small document. DOCUMENT_TOO_LARGE once they are more than `limit`.
 * @param limit in bytes; the size that the descriptor states where absent
 */
export async function collect(
  chunks: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  limit = Math.min(size, MAX_DOCUMENT_BYTES),
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > limit) {
      throw new LayercastError(
        'DOCUMENT_TOO_LARGE',
        `document ${digest} has more than the ${limit} bytes it may have`,
        {
          fix: 'Fetch it again, if its descriptor says less: this copy is not what it names.',
          detail: { digest, limit },
        },
      )
    }
    parts.push(chunk)
  }
  return Buffer.concat(parts, length)
}

function documentOf(known: ReadonlyMap<Digest, Document>, bytes: Uint8Array): Document {
  for (const document of known.values()) if (document.bytes === bytes) return document
  throw new RangeError('a document came from nowhere')
}

/** The indexes that lead from a target to a manifest, among the documents that were read. */
function pathTo(target: Descriptor, manifest: Digest, known: ReadonlyMap<Digest, Document>): Document[] | undefined {
  if (target.digest === manifest) return []
  const document = known.get(target.digest)
  if (document === undefined || !isIndex(target.mediaType)) return undefined
  for (const child of parseIndex(document.bytes, target.mediaType).manifests) {
    const rest = pathTo(child, manifest, known)
    if (rest !== undefined) return [document, ...rest]
  }
  return undefined
}
