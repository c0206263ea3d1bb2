import type { z } from '@hono/zod-openapi'
import { MAX_PLANNED_LAYERS } from '../../contract/plans.ts'
import type { planByDigest } from '../../contract/plans.ts'
import { LayercastError } from '../../errors.ts'
import { verifyBytes } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isIndex } from '../../image/media-type.ts'
import { parsePlatform } from '../../image/platform.ts'
import type { Platform } from '../../image/platform.ts'
import { resolveImage } from '../../image/resolve.ts'
import type { Planned } from '../../plan/document.ts'
import { plan } from '../../plan/plan.ts'
import type { PlanInput } from '../../plan/plan.ts'
import type { StoredImage } from '../store/images.ts'

type Options = Omit<z.output<typeof planByDigest>, 'manifest' | 'config'>
type Documents = Pick<PlanInput, 'manifest' | 'config' | 'mediaType'>

/** One plan for each snapshotter asked for, in their order. REQUEST_TOO_LARGE for more than MAX_PLANNED_LAYERS in all. */
export function makePlans(documents: Documents, options: Options): Planned[] {
  const snapshotters = [options.snapshotter].flat()
  const { layers } = parseManifest(documents.manifest, documents.mediaType)
  if (layers.length * snapshotters.length > MAX_PLANNED_LAYERS) {
    const counted = `${layers.length} layers for ${snapshotters.length} snapshotters`
    throw new LayercastError('REQUEST_TOO_LARGE', `${counted} are more than the ${MAX_PLANNED_LAYERS} of one call`, {
      fix: 'Ask for fewer snapshotters at once.',
      detail: { limit: MAX_PLANNED_LAYERS, layers: layers.length, snapshotters: snapshotters.length },
    })
  }
  return snapshotters.map((snapshotter) => plan({ ...options, ...documents, snapshotter }))
}

/** Taken where the image is no index, where the platform chooses nothing. */
const ANY: Platform = { os: 'linux', architecture: 'amd64' }

/**
 * The documents of an image that is kept, by its manifest's digest or an index's. Errors: those of `read`,
 * PLATFORM_NOT_FOUND, REQUEST_INVALID for an index without a platform, DIGEST_MISMATCH where another config was named
 * than the manifest's, and the parsers'.
 */
export async function keptDocuments(
  request: z.output<typeof planByDigest>,
  read: (digest: string) => Promise<StoredImage>,
): Promise<Documents> {
  const target = await read(request.manifest)
  const mediaType = request.mediaType ?? target.mediaType
  if (isIndex(mediaType) && request.platform === undefined) {
    throw new LayercastError(
      'REQUEST_INVALID',
      `${request.manifest} is an index: it takes a platform to choose from it`,
      {
        fix: 'Say the platform, such as linux/amd64.',
      },
    )
  }
  const platform = request.platform === undefined ? ANY : parsePlatform(request.platform)
  const descriptor = { mediaType, digest: request.manifest, size: target.bytes.byteLength }
  const image = await resolveImage(descriptor, async ({ digest }) => (await read(digest)).bytes, platform)
  if (request.config !== undefined) verifyBytes(image.config, request.config, "the manifest's config")
  return image
}
