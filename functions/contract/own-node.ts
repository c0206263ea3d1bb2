/** The calls of a node about itself: its assignment, its report. */
import { z } from '@hono/zod-openapi'
import { conditional, digest, json, jsonBody } from './fields.ts'
import { planReport } from './nodes.ts'
import { defineRoute } from './route.ts'

/**
 * A header of every answer to a node's own calls: an opaque name for the state of what the server knows of the node, its facts
 * and reports. It stays the same until the node states facts or reports again. If it changes in between, the server's database
 * was put back from a backup, and the node sends its facts and reports again.
 */
export const KNOWN_HEADER = 'layercast-known'

const ownAssignment = z
  .object({
    generation: z.number().int(),
    plans: z.array(z.object({ digest, reference: z.string(), snapshotter: z.string() })),
  })
  .openapi('OwnAssignment')

export type OwnAssignment = z.infer<typeof ownAssignment>

export const getOwnAssignment = defineRoute({
  method: 'get',
  path: '/v1/node/assignment',
  operationId: 'getOwnAssignment',
  summary: 'What the calling node should have; cheap to ask with If-None-Match',
  description:
    `The header ${KNOWN_HEADER}, here and on the answers to a node's facts and reports, names the state of what the ` +
    'server knows of the node. Where it differs from the one of the last answer to facts or a report, the node sends both again.',
  'x-access': 'node',
  request: { headers: conditional },
  responses: { 200: json(ownAssignment, 'The assignment, with an ETag'), 304: { description: 'Nothing changed' } },
})

export const postReport = defineRoute({
  method: 'post',
  path: '/v1/node/report',
  operationId: 'postReport',
  summary: 'What the calling node has; saying it twice is saying it once',
  'x-access': 'node',
  'x-body-limit': 1024 * 1024,
  request: {
    body: jsonBody(
      z
        .strictObject({ generation: z.number().int().min(0), plans: z.array(planReport).max(256) })
        .openapi('Report', { description: 'The generation that was worked on, and each of its plans' }),
    ),
  },
  responses: {
    200: json(
      z
        .object({
          recorded: z.number().int(),
          ignored: z
            .array(z.object({ digest, reason: z.enum(['not-assigned', 'older']) }))
            .openapi({ description: 'Plans taken back meanwhile, and reports older than what is known' }),
        })
        .openapi('ReportTaken'),
      'What was recorded',
    ),
  },
})
