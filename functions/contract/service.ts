/** The service itself: its health, its OpenAPI document, its label profiles. */
import { z } from '@hono/zod-openapi'
import { json } from './fields.ts'
import { defineRoute } from './route.ts'

export const healthz = defineRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'healthz',
  summary: 'Whether the service answers',
  'x-access': 'public',
  responses: { 200: json(z.object({ ok: z.literal(true) }).openapi('Health'), 'It does') },
})

export const openapi = defineRoute({
  method: 'get',
  path: '/openapi.json',
  operationId: 'openapi',
  summary: 'This document',
  'x-access': 'public',
  responses: { 200: json(z.looseObject({ openapi: z.string() }), 'OpenAPI 3.1') },
})

const blob = z.enum(['required', 'fallback', 'none'])

const profile = z
  .object({
    name: z.string(),
    title: z.string(),
    snapshotters: z.array(z.string()).readonly().openapi({ description: 'The snapshotters that it is inferred from' }),
    content: z.enum(['local', 'lazy', 'guest', 'network', 'unknown']),
    mayTake: z.boolean().openapi({ description: 'Whether Prepare may answer AlreadyExists' }),
    blob: blob.openapi({ description: "Whether the node needs a layer's blob" }),
    blobByAnnotation: z.array(z.object({ annotation: z.string(), blob })).readonly(),
    requires: z.array(z.string()).readonly().openapi({ description: 'The labels that every layer must carry' }),
    reads: z.array(z.string()).readonly().openapi({ description: 'Labels it reads; * at the end: all that begin so' }),
    writes: z.array(z.string()).readonly().openapi({ description: 'Labels that the snapshotter itself writes' }),
    lazyLabels: z
      .array(z.string())
      .readonly()
      .openapi({ description: 'Any of them on a layer: it is not unpacked on the node' }),
    hides: z.array(z.string()).readonly().openapi({ description: "Files that a lazy layer's tree does not show" }),
    annotations: z
      .array(
        z.object({
          anyOf: z.array(z.string()).readonly(),
          on: z.enum(['everyLayer', 'someLayer']),
          missing: z.enum(['refuse', 'warn']),
        }),
      )
      .readonly(),
    whenMissing: z.string(),
    whenNotLazy: z.string(),
  })
  .openapi('Profile')

export const listSnapshotters = defineRoute({
  method: 'get',
  path: '/v1/snapshotters',
  operationId: 'listSnapshotters',
  summary: 'The label profiles, and which snapshotters take them',
  'x-access': 'planner',
  responses: { 200: json(z.object({ profiles: z.array(profile).readonly() }).openapi('Profiles'), 'All of them') },
})
