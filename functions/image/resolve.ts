/** Finds the manifest and the config of one platform below a manifest or an index. */
import { LayercastError } from '../errors.ts'
import { parseConfig } from './config.ts'
import type { Descriptor } from './descriptor.ts'
import { verifyBytes } from './digest.ts'
import { matchingEntries, parseIndex, platformNotFound } from './image-index.ts'
import type { IndexEntry } from './image-index.ts'
import { MAX_DOCUMENT_BYTES } from './json.ts'
import { parseManifest } from './manifest.ts'
import { isConfig, isIndex, isUntypedConfig } from './media-type.ts'
import { matchPlatform, normalizePlatform } from './platform.ts'
import type { Platform } from './platform.ts'

/** The two documents that a plan is made of, in the bytes of their digests. */
export interface ResolvedImage {
  manifest: Uint8Array
  /** Of the manifest, as its descriptor has it. */
  mediaType: string
  config: Uint8Array
}

/** How many indexes may lie within each other, and how many documents are read at most. */
const MAX_NESTING = 4
const MAX_READS = 64

/**
 * Finds the manifest of one platform, and its config. The target is a manifest, an index, or an index of indexes. As in
 * containerd, a target that is a manifest is taken whatever its platform is.
 *
 * Errors: PLATFORM_NOT_FOUND with the platforms that are there, DIGEST_MISMATCH where `read` gives other bytes than asked for,
 * DOCUMENT_TOO_LARGE, those of the parsers, and what `read` throws.
 * @param read gives the bytes of one document
 * @param options.anySize whether the sizes that descriptors state do not count; `read` limits the size then
 */
export async function resolveImage(
  target: Descriptor,
  read: (descriptor: Descriptor) => Promise<Uint8Array>,
  platform: Platform,
  { anySize = false }: { anySize?: boolean } = {},
): Promise<ResolvedImage> {
  const seen: Platform[] = []
  let reads = 0
  const found = await descend(target, 0)
  if (found === undefined) throw platformNotFound(platform, seen)
  return found

  async function descend(descriptor: IndexEntry, depth: number): Promise<ResolvedImage | undefined> {
    if (!isIndex(descriptor.mediaType)) return leaf(descriptor, depth > 0)
    if (depth === MAX_NESTING) throw tooMuch(descriptor, `lies more than ${MAX_NESTING} indexes deep`)
    const index = parseIndex(await document('index', descriptor), descriptor.mediaType)
    for (const entry of index.manifests) if (entry.platform !== undefined) seen.push(entry.platform)
    for (const entry of matchingEntries(index, platform)) {
      const image = await descend(entry, depth + 1)
      if (image !== undefined) return image
    }
    return undefined
  }

  /** Undefined where the index names no platform for the manifest, and the platform in its config does not match. */
  async function leaf(descriptor: IndexEntry, check: boolean): Promise<ResolvedImage | undefined> {
    const manifest = await document('manifest', descriptor)
    const { config: wanted } = parseManifest(manifest, descriptor.mediaType)
    const config = await document('config', wanted)
    if (check && descriptor.platform === undefined) {
      const actual = platformOf(wanted, config)
      if (actual === undefined) return undefined
      seen.push(actual)
      if (!matchPlatform(platform, actual)) return undefined
    }
    return { manifest, mediaType: descriptor.mediaType, config }
  }

  async function document(what: string, descriptor: Descriptor): Promise<Uint8Array> {
    if (++reads > MAX_READS) throw tooMuch(target, `leads to more than ${MAX_READS} documents`)
    if (!anySize && descriptor.size > MAX_DOCUMENT_BYTES) {
      throw tooMuch(descriptor, `(${what}) has ${descriptor.size} bytes, more than the ${MAX_DOCUMENT_BYTES} allowed`)
    }
    const bytes = await read(descriptor)
    verifyBytes(bytes, descriptor.digest, what)
    return bytes
  }
}

/** The platform in a config; undefined where it is not the config of an image. */
function platformOf({ mediaType }: Descriptor, config: Uint8Array): Platform | undefined {
  if (isConfig(mediaType)) return normalizePlatform(parseConfig(config).platform)
  if (!isUntypedConfig(mediaType)) return undefined
  try {
    return normalizePlatform(parseConfig(config).platform)
  } catch (error) {
    if (error instanceof LayercastError) return undefined
    throw error
  }
}

function tooMuch(descriptor: Descriptor, problem: string): LayercastError {
  return new LayercastError('DOCUMENT_TOO_LARGE', `${descriptor.digest} ${problem}`, {
    fix: 'Name the manifest that you mean by its digest.',
    detail: { digest: descriptor.digest },
  })
}
