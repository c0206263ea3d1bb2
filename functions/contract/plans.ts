/** Plans over HTTP. The server makes the same bytes as the library for the same input. */
import { z } from '@hono/zod-openapi'
import { MAX_DOCUMENT_BYTES } from '../image/json.ts'
import type { Plan } from '../plan/document.ts'
import { conditional, digest, snapshotterName, strings } from './fields.ts'
import { defineRoute } from './route.ts'

/**
 * The limit of layers times snapshotters in one call. So many take about a second, during which a Worker answers nobody else.
 * An image of 127 layers, as many as overlayfs can mount, may be planned for 16 snapshotters at once.
 */
export const MAX_PLANNED_LAYERS = 2048

/** The media type of a plan's canonical bytes. */
export const PLAN_TYPE = 'application/vnd.layercast.plan.v1+json'

const descriptor = z
  .object({
    mediaType: z.string(),
    digest,
    size: z.number().int(),
    annotations: strings.optional(),
  })
  .openapi('Descriptor')

const platform = z
  .object({
    os: z.string(),
    architecture: z.string(),
    variant: z.string().optional(),
    'os.version': z.string().optional(),
    'os.features': z.array(z.string()).optional(),
  })
  .openapi('Platform')

const chainOrNone = z.union([digest, z.literal('')])

const layer = z
  .object({
    descriptor,
    diffID: digest,
    chainID: digest,
    parent: chainOrNone,
    labels: strings,
    blob: z.enum(['required', 'fallback', 'none']),
  })
  .openapi('PlanLayer')

/** The plan document as the OpenAPI document shows it. A plan from outside is checked by `parsePlan` of functions/plan. */
const planDocument = z
  .object({
    schema: z.literal('layercast.plan/v1'),
    reference: z.string(),
    snapshotter: z.string(),
    profile: z.string(),
    platform,
    manifest: descriptor,
    config: descriptor,
    layers: z.array(layer),
    chainID: chainOrNone,
    requires: z.array(z.string()),
    warnings: z.array(z.object({ code: z.string(), detail: z.string() })),
  })
  .openapi('Plan') as unknown as z.ZodType<Plan>

/** The input of a plan besides the image's documents. Where `snapshotter` names several, one plan is made for each. */
const planOptions = {
  reference: z.string().min(1).max(4096).openapi({ example: 'docker.io/library/nginx:1.29' }),
  referenceForm: z.enum(['cri', 'store']).optional().openapi({
    description: "Whether CRI's normal form of the reference counts (if absent), or a store's name to the letter",
  }),
  snapshotter: z
    .union([snapshotterName, z.array(snapshotterName).min(1).max(16)], {
      error: "due is a snapshotter's name, or 1 to 16 of them",
    })
    .openapi({
      description: `One, or several of which each gets a plan; layers times snapshotters are at most ${MAX_PLANNED_LAYERS}`,
    }),
  profile: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .openapi({ description: "A label profile; the snapshotter's own if absent" }),
  labels: z.enum(['cri', 'off']).optional().openapi({ description: 'Whether the cri labels are sent; cri if absent' }),
  platform: z.string().min(1).max(256).optional().openapi({ example: 'linux/arm64' }),
  mediaType: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .openapi({ description: 'Of the manifest, where it does not say so itself' }),
}

/** The request for plans of an image whose documents the server keeps (`POST /v1/images`). */
export const planByDigest = z
  .strictObject({
    manifest: digest.openapi({ description: 'A manifest, or an index from which `platform` chooses one' }),
    config: digest.optional().openapi({ description: 'The config; the one that the manifest names if absent' }),
    ...planOptions,
  })
  .openapi('PlanByDigest')

const uploaded = z
  .custom<File>((value) => value instanceof Blob, 'must be a file part (with a filename), so that its bytes stay exact')
  .openapi({ type: 'string', format: 'binary' })

/** The request for plans of an image whose documents it brings. */
export const planByUpload = z
  .strictObject({ manifest: uploaded, config: uploaded, ...planOptions })
  .openapi('PlanByUpload')

const planned = z.object({ snapshotter: z.string(), digest, plan: planDocument }).openapi('Planned')

export const planMade = z.object({ plans: z.array(planned) }).openapi('Plans')

export const createPlans = defineRoute({
  method: 'post',
  path: '/v1/plans',
  operationId: 'createPlans',
  summary: 'Plan an image for one or several snapshotters',
  description:
    `At most ${MAX_PLANNED_LAYERS} layers times snapshotters in one call (REQUEST_TOO_LARGE). ` +
    `With one snapshotter and \`Accept: ${PLAN_TYPE}\` the body is the plan's canonical bytes and ETag its digest.`,
  'x-access': 'planner',
  'x-body-limit': 2 * MAX_DOCUMENT_BYTES + 64 * 1024,
  request: {
    body: {
      content: { 'multipart/form-data': { schema: planByUpload }, 'application/json': { schema: planByDigest } },
    },
  },
  responses: {
    200: {
      description: 'The plans, in the order of the snapshotters asked for',
      content: {
        'application/json': { schema: planMade },
        [PLAN_TYPE]: { schema: planDocument },
      },
    },
  },
})

export const getPlan = defineRoute({
  method: 'get',
  path: '/v1/plans/{digest}',
  operationId: 'getPlan',
  summary: "A plan's canonical bytes; a node reads those of its own assignment",
  'x-access': 'planner',
  request: { params: z.strictObject({ digest }), headers: conditional },
  responses: {
    200: { description: 'The bytes', content: { [PLAN_TYPE]: { schema: planDocument } } },
    304: { description: 'The caller holds them' },
  },
})
