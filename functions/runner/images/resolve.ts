import { hasCode } from '../../errors.ts'
/** Images as a user names them: a name in the node's store, or a source beside it, down to what a planner needs. */
import type { Descriptor } from '../../image/descriptor.ts'
import { parsePlatform, preferFeatures, type Platform } from '../../image/platform.ts'
import { isNormalReference } from '../../image/reference.ts'
import type { Backend } from '../../node/ports.ts'
import type { PlanInput } from '../../plan/plan.ts'
import { bare, readDocuments, readHeldDocuments, type Documents } from '../content/documents.ts'
import type { ImageSource } from '../sources/open.ts'
import { findRecord } from './find.ts'
import { hostPlatform } from './host-platform.ts'
import { importImage, type ImportEvent } from './import.ts'
import { isSpec, isRegistrySpec, referenceOf } from './spec.ts'

export { hostPlatform } from './host-platform.ts'
export { byPreference } from './find.ts'
export { isSpec } from './spec.ts'
export type { ImportEvent } from './import.ts'

/** One image of one platform: what `plan` takes, and what its name points to. */
export interface NodeImage {
  /** The name of the image on the node, and the reference of its plans. */
  reference: string
  /** What the name points to: an index or the manifest. */
  target: Descriptor
  /** Of the manifest: its media type, digest and size. */
  descriptor: Descriptor
  manifest: Uint8Array
  mediaType: string
  config: Uint8Array
}

export interface ResolveOptions {
  /** The machine's own where absent. */
  platform?: Platform | string
  /**
   * OS features whose images are preferred where the platform is the machine's own: what the snapshotter takes best, such as
   * `erofs`. An image that is not there for them is taken without.
   */
  features?: readonly string[]
  /** What to call an image that comes from a source; what the source calls it where absent. */
  reference?: string
  /** Where a document of a held image comes from that is missing or damaged; as the user spelt them. */
  sources?: readonly string[]
  signal?: AbortSignal
  onEvent?: (event: ImportEvent) => void
}

/**
 * The image that a user names. A name is looked up in the backend's store, as it is and then normalised, and then as an
 * image's ID or digest; a source
 * (`oci:`, `oci-archive:`, `docker-archive:`, `docker://`) is imported into the backend first, blobs and name.
 * IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS, REFERENCE_INVALID, PLATFORM_*, BLOB_NOT_FOUND, DIGEST_MISMATCH, SOURCE_INVALID, REGISTRY_*, and
 * those of the document parsers.
 */
export async function resolve(backend: Backend, image: string, options: ResolveOptions = {}): Promise<NodeImage> {
  if (isSpec(image)) {
    const { signal = new AbortController().signal, onEvent } = options
    return await withSource(image, { backend }, async (source) => {
      const documents = await preferred(options, (on) => readDocuments(source.target, (blob) => source.read(blob), on))
      const name = referenceOf(source, options.reference)
      const registry = isRegistrySpec(image) ? { registry: source.reference ?? name } : {}
      const events = onEvent === undefined ? {} : { onEvent }
      await importImage({ backend, source, documents, name, signal, ...registry, ...events })
      return imageOf(name, documents)
    })
  }
  const { name, target } = await findRecord(backend, image, platformOf(options))
  const { sources = [], signal = new AbortController().signal } = options
  if (sources.length === 0) {
    return imageOf(name, await preferred(options, (on) => readHeldDocuments(backend, target, on)))
  }
  const { createHealer } = await import('../blobs/heal.ts')
  const healer = createHealer({ backend, reference: name, target: target.digest, sources, signal })
  try {
    const heal = (document: Descriptor) => healer.heal(document)
    return imageOf(name, await preferred(options, (on) => readHeldDocuments(backend, target, on, heal)))
  } finally {
    await healer.close()
  }
}

/** What the planner needs of an image: its documents, and its name, which is taken to the letter where it is not normal. */
export function documentsOf({
  reference,
  manifest,
  mediaType,
  config,
}: NodeImage): Pick<PlanInput, 'reference' | 'referenceForm' | 'manifest' | 'mediaType' | 'config'> {
  const form = isNormalReference(reference) ? {} : { referenceForm: 'store' as const }
  return { reference, ...form, manifest, mediaType, config }
}

/** The image in a source, with no node and nothing imported. Errors as `resolve`. */
export async function inspect(spec: string, options: ResolveOptions = {}): Promise<NodeImage> {
  return await withSource(spec, {}, async (source) =>
    imageOf(
      referenceOf(source, options.reference),
      await preferred(options, (on) => readDocuments(source.target, (blob) => source.read(blob), on)),
    ),
  )
}

function imageOf(reference: string, { indexes, manifest, config }: Documents): NodeImage {
  return {
    reference,
    target: bare((indexes[0] ?? manifest).descriptor),
    descriptor: bare(manifest.descriptor),
    manifest: manifest.bytes,
    mediaType: manifest.descriptor.mediaType,
    config: config.bytes,
  }
}

function platformOf({ platform }: ResolveOptions): Platform {
  if (platform === undefined) return hostPlatform()
  return typeof platform === 'string' ? parsePlatform(platform) : platform
}

/** Reads for the platform with the preferred features; without them where that image is not here. */
async function preferred(
  options: ResolveOptions,
  read: (platform: Platform) => Promise<Documents>,
): Promise<Documents> {
  const platform = platformOf(options)
  const first = options.platform === undefined ? preferFeatures(platform, options.features ?? []) : platform
  if (first === platform) return await read(platform)
  try {
    return await read(first)
  } catch (error) {
    // A pull brings the one manifest that it chose, and the index names the other all the same.
    if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error
    return await read(platform)
  }
}

async function withSource<T>(
  spec: string,
  options: { backend?: Backend },
  work: (source: ImageSource) => Promise<T>,
): Promise<T> {
  // Loaded when asked for: archives and registries are of no use to whoever names what is on the node.
  const { openSource } = await import('../sources/open.ts')
  const source = await openSource(spec, options)
  try {
    return await work(source)
  } finally {
    await source.close()
  }
}
