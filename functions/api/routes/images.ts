/** Image documents: stored and read by digest. */
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import { parseConfig } from '../../image/config.ts'
import { digestBytes, verifyBytes } from '../../image/digest.ts'
import { parseIndex } from '../../image/image-index.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isConfig, isIndex, isManifest } from '../../image/media-type.ts'
import { readVisibleImage } from '../auth/visible.ts'
import type { App } from '../http/app-env.ts'
import { immutable, matchesETag } from '../http/etag.ts'

export function mountImages(app: App): void {
  app.openapi(ROUTES.storeImage, async (c) => {
    const bytes = new Uint8Array(await c.req.arrayBuffer())
    const mediaType = (c.req.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
    const { digest: stated } = c.req.valid('query')
    if (stated !== undefined) verifyBytes(bytes, stated, 'the body')
    checkDocument(bytes, mediaType)
    const digest = stated ?? digestBytes(bytes)
    const kept = await c.var.store.images.keep(digest, { mediaType, bytes })
    c.header('location', `/v1/images/${digest}`)
    return c.json({ digest, mediaType: kept.mediaType, size: bytes.byteLength }, kept.isNew ? 201 : 200)
  })

  app.openapi(ROUTES.getImage, async (c) => {
    const { digest } = c.req.valid('param')
    const image = await readVisibleImage(c.var.store, c.var.caller, digest)
    const headers = { etag: `"${digest}"`, 'cache-control': immutable(c.var.isPlannerOpen) }
    if (matchesETag(c.req.header('if-none-match'), headers.etag)) return c.body(null, 304, headers)
    return new Response(image.bytes as BodyInit, { headers: { ...headers, 'content-type': image.mediaType } })
  })
}

/** Refuses what the parser of its type refuses, and every type that is not an image document's. */
function checkDocument(bytes: Uint8Array, mediaType: string): void {
  if (isManifest(mediaType)) parseManifest(bytes, mediaType)
  else if (isIndex(mediaType)) parseIndex(bytes, mediaType)
  else if (isConfig(mediaType)) parseConfig(bytes)
  else {
    throw new LayercastError('MEDIA_TYPE_UNSUPPORTED', `${JSON.stringify(mediaType)} is not an image document's type`, {
      fix: 'Send a manifest, an index or a config, and say which in Content-Type.',
    })
  }
}
