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
import type { Backend, ContentStore } from '../../node/ports.ts'

/** A manifest, index or config as it was read, its digest checked. */
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

/** The descriptor without what its place in a document added: annotations, a platform. */
export function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/** Gives a blob's bytes in order. */
export type ReadBlob = (descriptor: Descriptor) => AsyncIterable<Uint8Array>

/**
 * The documents of an image that the node holds. What a descriptor states as their size does not count, as with containerd:
 * it is the digest that says what they are. Errors as `readDocuments`.
 * @param heal brings a document anew that is missing or damaged, or throws
 */
export async function readHeldDocuments(
  backend: Backend,
  target: Descriptor,
  platform: Platform,
  heal?: (document: Descriptor) => Promise<void>,
): Promise<Documents> {
  const { content } = backend
  const read = async function* (document: Descriptor): AsyncGenerator<Uint8Array> {
    await checkHeld(content, document, heal)
    yield* content.read(document.digest)
  }
  return await readDocuments(target, read, platform, MAX_DOCUMENT_BYTES)
}

/**
 * Sees to it that a document of the content store is what its digest says. DIGEST_MISMATCH for one that is not and cannot be
 * healed. One that is not there is for whoever reads it.
 * @param heal brings what is missing or damaged anew, or throws
 */
export async function checkHeld(
  content: ContentStore,
  document: Descriptor,
  heal?: (document: Descriptor) => Promise<void>,
): Promise<void> {
  const { digest } = document
  const info = await infoOrNone(content, digest)
  if (info === undefined) {
    await heal?.(document)
    return
  }
  // More than a document may have is refused by whoever reads it, and not hashed to its end before.
  if (info.size > MAX_DOCUMENT_BYTES) return
  const fault = await faultOf(content, document)
  if (fault === undefined) return
  if (heal === undefined) {
    throw new LayercastError('DIGEST_MISMATCH', `blob ${digest} of the content store ${fault}`, {
      fix: DAMAGED_FIX,
      detail: { digest, fault },
    })
  }
  await heal(document)
}

/**
 * Reads the image of one platform, all digests checked. Errors as `resolveImage`, and what `read` throws.
 * @param limit how many bytes a document may have; what its descriptor states where absent
 */
export async function readDocuments(
  target: Descriptor,
  read: ReadBlob,
  platform: Platform,
  limit?: number,
): Promise<Documents> {
  const seen = new Map<Digest, Document>()
  const readOne = async (descriptor: Descriptor): Promise<Uint8Array> => {
    const known = seen.get(descriptor.digest)
    if (known) return known.bytes
    const bytes = await collect(read(descriptor), descriptor, limit)
    seen.set(descriptor.digest, { descriptor, bytes })
    return bytes
  }
  const resolved = await resolveImage(target, readOne, platform, { anySize: limit !== undefined })
  const manifest = documentOf(seen, resolved.manifest)
  const config = documentOf(seen, resolved.config)
  const indexes = pathTo(target, manifest.descriptor.digest, seen)
  if (indexes === undefined) throw new RangeError(`${manifest.descriptor.digest} is not below ${target.digest}`)
  return { indexes, manifest, config }
}

/** The bytes of a small document. DOCUMENT_TOO_LARGE once they are more than they may be. */
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

function documentOf(seen: ReadonlyMap<Digest, Document>, bytes: Uint8Array): Document {
  for (const document of seen.values()) if (document.bytes === bytes) return document
  throw new RangeError('a document came from nowhere')
}

/** The indexes that lead from a target to a manifest, among the documents that were read. */
function pathTo(target: Descriptor, manifest: Digest, seen: ReadonlyMap<Digest, Document>): Document[] | undefined {
  if (target.digest === manifest) return []
  const document = seen.get(target.digest)
  if (document === undefined || !isIndex(target.mediaType)) return undefined
  for (const child of parseIndex(document.bytes, target.mediaType).manifests) {
    const rest = pathTo(child, manifest, seen)
    if (rest !== undefined) return [document, ...rest]
  }
  return undefined
}
