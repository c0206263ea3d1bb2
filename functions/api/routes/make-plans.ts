/** Plans out of the documents of an image that a request brings or names. */
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

type Options = Omit<z.output<typeof planByDigest>, 'manifest' | 'config'>
type Documents = Pick<PlanInput, 'manifest' | 'config' | 'mediaType'>

/** One plan for each snapshotter of the request, in its order. REQUEST_TOO_LARGE for more than MAX_PLANNED_LAYERS in all. */
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

/** Where the image is no index there is nothing to choose from, so that any platform does. */
const ANY: Platform = { os: 'linux', architecture: 'amd64' }

/**
 * The documents of a stored image, which the request names by the digest of its manifest or of an index. Errors: those of
 * `read` and of the parsers; REQUEST_INVALID for an index without a platform; PLATFORM_NOT_FOUND; DIGEST_MISMATCH where the
 * request names another config than the manifest does.
 */
export async function keptDocuments(
  request: z.output<typeof planByDigest>,
  read: (digest: string) => Promise<{ mediaType: string; bytes: Uint8Array }>,
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
