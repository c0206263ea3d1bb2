/** What the service says of itself: its health, its profiles, its OpenAPI document. */
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

const profile = z
  .object({
    name: z.string(),
    snapshotters: z.array(z.string()).openapi({ description: 'Snapshotters that take this profile by default' }),
    requires: z.array(z.string()).openapi({ description: 'Labels that the snapshotter cannot do without' }),
    blob: z
      .enum(['required', 'fallback', 'none'])
      .openapi({ description: 'Whether layer blobs are needed on the node' }),
    description: z.string(),
  })
  .openapi('Profile')

export const listSnapshotters = defineRoute({
  method: 'get',
  path: '/v1/snapshotters',
  operationId: 'listSnapshotters',
  summary: 'The label profiles, and which snapshotters take them',
  'x-access': 'planner',
  responses: { 200: json(z.object({ profiles: z.array(profile) }).openapi('Profiles'), 'All of them') },
})
