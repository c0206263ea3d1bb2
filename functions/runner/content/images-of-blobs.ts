/** Which images a blob belongs to. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { isDigest } from '../../image/digest.ts'
import { parseIndex } from '../../image/image-index.ts'
import { MAX_DOCUMENT_BYTES } from '../../image/json.ts'
import { GC_REF_CONTENT } from '../../image/label-names.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isIndex, isManifest } from '../../image/media-type.ts'
import type { Backend, ContentInfo, ContentStore } from '../../node/ports.ts'
import { collect } from './documents.ts'

/**
 * The names of the images that each blob belongs to, sorted. Both are followed from an image's target on: the labels of the
 * garbage collector, and what indexes and manifests name, because a label may be missing and a document damaged.
 */
export async function imagesOfBlobs(backend: Backend): Promise<Map<Digest, string[]>> {
  const infos = new Map<Digest, ContentInfo>()
  for await (const info of backend.content.list()) infos.set(info.digest, info)
  const children = new Map<Digest, Promise<Descriptor[]>>()
  const childrenOf = (target: Descriptor): Promise<Descriptor[]> => {
    const known = children.get(target.digest) ?? readChildren(backend.content, infos, target)
    children.set(target.digest, known)
    return known
  }
  const found = new Map<Digest, string[]>()
  for await (const { name, target } of backend.images.list()) {
    const seen = new Set<Digest>()
    const pending: Descriptor[] = [target]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (seen.has(next.digest)) continue
      seen.add(next.digest)
      pending.push(...(await childrenOf(next)), ...labelled(infos.get(next.digest)))
    }
    for (const digest of seen) found.set(digest, [...(found.get(digest) ?? []), name].sort())
  }
  return found
}

/** The blobs that this one's labels refer to. Their media types and sizes are not known. */
function labelled(info: ContentInfo | undefined): Descriptor[] {
  return Object.entries(info?.labels ?? {})
    .filter(([key, value]) => key.startsWith(GC_REF_CONTENT) && isDigest(value))
    .map(([, digest]) => ({ mediaType: '', digest: digest as Digest, size: 0 }))
}

async function readChildren(
  content: ContentStore,
  infos: ReadonlyMap<Digest, ContentInfo>,
  { digest, mediaType }: Descriptor,
): Promise<Descriptor[]> {
  if (!infos.has(digest) || !(isIndex(mediaType) || isManifest(mediaType))) return []
  try {
    const bytes = await collect(content.read(digest), { digest, size: MAX_DOCUMENT_BYTES })
    if (isIndex(mediaType)) return parseIndex(bytes, mediaType).manifests
    const { config, layers } = parseManifest(bytes, mediaType)
    return [config, ...layers]
  } catch (error) {
    // A document that cannot be read names nothing. Its labels still count.
    if (error instanceof LayercastError && error.kind !== 'unreachable') return []
    throw error
  }
}
