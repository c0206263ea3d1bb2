/** Images as a user names them: a name in the node's store, or a source beside it, down to what a planner needs. */
import type { Descriptor } from '../../image/descriptor.ts'
import { hasCode, LayercastError } from '../../image/errors.ts'
import { parsePlatform, type Platform } from '../../image/platform.ts'
import { normalizeReference } from '../../image/reference.ts'
import { CRI_NAMESPACE } from '../cri-namespace.ts'
import type { Backend, ImageRecord } from '../ports.ts'
import type { ImageSource } from '../sources/index.ts'
import { bare, readDocuments, type Documents } from './documents.ts'
import { hostPlatform } from './host-platform.ts'
import { importImage, type ImportEvent } from './import.ts'
import { isSpec, isRegistrySpec, referenceOf } from './spec.ts'

export { hostPlatform } from './host-platform.ts'
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
  /** What to call an image that comes from a source; what the source calls it where absent. */
  reference?: string
  signal?: AbortSignal
  onEvent?: (event: ImportEvent) => void
}

/**
 * The image that a user names. A name is looked up in the backend's store, as it is and then normalised; a source
 * (`oci:`, `oci-archive:`, `docker-archive:`, `docker://`) is imported into the backend first, blobs and name.
 * IMAGE_NOT_FOUND, REFERENCE_INVALID, PLATFORM_*, BLOB_NOT_FOUND, DIGEST_MISMATCH, SOURCE_INVALID, REGISTRY_*, and
 * those of the document parsers.
 */
export async function resolve(backend: Backend, image: string, options: ResolveOptions = {}): Promise<NodeImage> {
  const platform = platformOf(options)
  if (isSpec(image)) {
    const { signal = new AbortController().signal, onEvent } = options
    return await withSource(image, async (source) => {
      const documents = await readDocuments(source.target, (blob) => source.read(blob), platform)
      const name = referenceOf(source, options.reference)
      const registry = isRegistrySpec(image) ? { registry: source.reference ?? name } : {}
      const events = onEvent === undefined ? {} : { onEvent }
      await importImage({ backend, source, documents, name, signal, ...registry, ...events })
      return imageOf(name, documents)
    })
  }
  const record = await findRecord(backend, image)
  return imageOf(
    record.name,
    await readDocuments(record.target, ({ digest }) => backend.content.read(digest), platform),
  )
}

/** The image in a source, with no node and nothing imported. Errors as `resolve`. */
export async function inspect(spec: string, options: ResolveOptions = {}): Promise<NodeImage> {
  const platform = platformOf(options)
  return await withSource(spec, async (source) =>
    imageOf(
      referenceOf(source, options.reference),
      await readDocuments(source.target, (blob) => source.read(blob), platform),
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

async function withSource<T>(spec: string, work: (source: ImageSource) => Promise<T>): Promise<T> {
  // Loaded when asked for: archives and registries are of no use to whoever names what is on the node.
  const { openSource } = await import('../sources/index.ts')
  const source = await openSource(spec)
  try {
    return await work(source)
  } finally {
    await source.close()
  }
}

async function findRecord(backend: Backend, name: string): Promise<ImageRecord> {
  const exact = await recordOrNone(backend, name)
  if (exact) return exact
  const normalized = normalizeReference(name)
  const found = normalized === name ? undefined : await recordOrNone(backend, normalized)
  if (found) return found
  const { namespace } = backend
  const where = namespace === undefined ? `the ${backend.kind} store` : `containerd's namespace ${namespace}`
  const other =
    namespace === undefined || namespace === CRI_NAMESPACE ? '' : `; the kubelet's are in -n ${CRI_NAMESPACE}`
  throw new LayercastError('IMAGE_NOT_FOUND', `there is no image ${normalized} in ${where}`, {
    fix: `See what is there with \`layercast image ls\`${other}; or name a source: oci:DIR, docker-archive:FILE, docker://NAME.`,
    detail: { image: name, normalized, ...(namespace === undefined ? {} : { namespace }) },
  })
}

async function recordOrNone(backend: Backend, name: string): Promise<ImageRecord | undefined> {
  try {
    return await backend.images.get(name)
  } catch (error) {
    if (hasCode(error, 'IMAGE_NOT_FOUND')) return undefined
    throw error
  }
}
