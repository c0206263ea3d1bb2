/** Image documents (manifests, indexes, configs), stored as exact bytes by digest, so that later calls can name them. */
import { z } from '@hono/zod-openapi'
import { MAX_DOCUMENT_BYTES } from '../image/json.ts'
import { conditional, digest, json } from './fields.ts'
import { defineRoute } from './route.ts'

const IMAGE_MEDIA_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.container.image.v1+json',
] as const

const exactBytes = { schema: { type: 'string' as const, format: 'binary' } }
const anyImage = Object.fromEntries(IMAGE_MEDIA_TYPES.map((type) => [type, exactBytes]))

const imageStored = z
  .object({ digest, mediaType: z.string(), size: z.number().int() })
  .openapi('Image', { description: 'A descriptor of what is kept' })

export const storeImage = defineRoute({
  method: 'post',
  path: '/v1/images',
  operationId: 'storeImage',
  summary: 'Keep a manifest, index or config by its digest; Content-Type says which it is',
  'x-access': 'planner',
  'x-body-limit': MAX_DOCUMENT_BYTES,
  request: {
    query: z.strictObject({
      digest: digest
        .optional()
        .openapi({ description: 'What the bytes must hash to, and the algorithm to keep them under' }),
    }),
    body: { required: true, content: anyImage },
  },
  responses: { 200: json(imageStored, 'It was there already'), 201: json(imageStored, 'It is kept now') },
})

export const getImage = defineRoute({
  method: 'get',
  path: '/v1/images/{digest}',
  operationId: 'getImage',
  summary: 'The exact bytes of a manifest, index or config',
  'x-access': 'planner',
  request: { params: z.strictObject({ digest }), headers: conditional },
  responses: { 200: { description: 'The bytes', content: anyImage }, 304: { description: 'The caller holds them' } },
})
