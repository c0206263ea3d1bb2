/** Image indexes, and which of their entries are for a platform. */
import { LayercastError } from '../errors.ts'
import { readDescriptor } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { digestBytes } from './digest.ts'
import { documentType } from './document-type.ts'
import { Field } from './fields.ts'
import { parseJSON } from './json.ts'
import { formatPlatform, platformRank, readPlatform } from './platform.ts'
import type { Platform } from './platform.ts'

/** An entry of an index: mostly a manifest, sometimes another index. */
export interface IndexEntry extends Descriptor {
  platform?: Platform
}

/** An image index (image-spec 1.1, "Image Index") or docker's manifest list. */
export interface ImageIndex {
  /** Of the index itself. */
  descriptor: Descriptor
  manifests: IndexEntry[]
}

const MAX_ENTRIES = 4096

/**
 * Parses an index of at most 4 MiB. Errors as parseManifest, with INDEX_IS_MANIFEST for its opposite.
 * @param mediaType what the index came with; without it the document's own counts, and then OCI's
 */
export function parseIndex(bytes: Uint8Array, mediaType?: string): ImageIndex {
  const document = new Field(parseJSON(bytes, { what: 'index', decimals: true }), 'index')
  const type = documentType(document, 'index', mediaType)
  const entries = document.get('manifests').items()
  if (entries.length > MAX_ENTRIES) {
    throw new LayercastError(
      'DOCUMENT_TOO_LARGE',
      `index: ${entries.length} manifests, more than the ${MAX_ENTRIES} allowed`,
      {
        fix: 'Name one manifest of the index by its digest.',
        detail: { manifests: entries.length, limit: MAX_ENTRIES },
      },
    )
  }
  return {
    descriptor: { mediaType: type, digest: digestBytes(bytes), size: bytes.length },
    manifests: entries.map(readEntry),
  }
}

/**
 * The entries of an index that may run on a platform, in the order in which containerd tries them: the best match first; of
 * equal ones that with more OS features, and then that which comes first in the index; at the end those that name no platform,
 * because their config decides. Empty where there is none.
 */
export function matchingEntries(index: ImageIndex, wanted: Platform): IndexEntry[] {
  const ranked = index.manifests.flatMap((entry) => {
    const rank = entry.platform === undefined ? Number.MAX_VALUE : platformRank(wanted, entry.platform)
    return rank === undefined ? [] : [{ entry, rank }]
  })
  return ranked.sort((a, b) => a.rank - b.rank || featuresOf(b.entry) - featuresOf(a.entry)).map(({ entry }) => entry)
}

function featuresOf({ platform }: IndexEntry): number {
  return platform?.['os.features']?.length ?? 0
}

/** The error that says which platform was wanted and which are there. */
export function platformNotFound(wanted: Platform, there: readonly Platform[]): LayercastError {
  // Attestations stand in an index as unknown/unknown; nobody wants to choose one.
  const real = there.filter(({ os }) => os !== 'unknown')
  const names = [...new Set(real.map(formatPlatform))]
  const offer = names.length === 0 ? 'none that names a platform' : names.join(', ')
  return new LayercastError('PLATFORM_NOT_FOUND', `no manifest for ${formatPlatform(wanted)}: the image has ${offer}`, {
    fix: 'Choose one of the platforms that the image is made for.',
    detail: { wanted: formatPlatform(wanted), available: names },
  })
}

function readEntry(field: Field): IndexEntry {
  const descriptor = readDescriptor(field.exactly('platform'))
  const platform = field.get('platform')
  return platform.present ? { ...descriptor, platform: readPlatform(platform) } : descriptor
}
