/** Assignments: which plans the nodes that match a selector should have, those of now and those that enrol later. */
import { z } from '@hono/zod-openapi'
import { digest, id, json, jsonBody, pageOf, pageQuery, timestamp } from './fields.ts'
import { planByDigest } from './plans.ts'
import { defineRoute } from './route.ts'

const selector = z
  .string()
  .max(4096)
  .openapi({ description: 'key=value[,key=value], or * for every node', minLength: 1 })

const assignment = z
  .object({
    id,
    selector,
    plans: z.array(z.object({ digest, reference: z.string(), snapshotter: z.string() })),
    createdAt: timestamp,
    generation: z.number().int().openapi({ description: 'The generation that brought it to its nodes' }),
    nodes: z.number().int().openapi({ description: 'How many nodes it reaches now' }),
  })
  .openapi('Assignment')

export type Assignment = z.infer<typeof assignment>

export const createAssignment = defineRoute({
  method: 'post',
  path: '/v1/assignments',
  operationId: 'createAssignment',
  summary: 'Give every matching node these plans: kept ones by digest, or an image to plan',
  'x-access': 'operator',
  'x-body-limit': 64 * 1024,
  request: {
    body: jsonBody(
      z
        .union([
          z.strictObject({ selector, plans: z.array(digest).min(1).max(64) }),
          z.strictObject({ selector, image: planByDigest }),
        ])
        .openapi('CreateAssignment'),
    ),
  },
  responses: { 201: json(assignment, 'The assignment') },
})

export const listAssignments = defineRoute({
  method: 'get',
  path: '/v1/assignments',
  operationId: 'listAssignments',
  summary: 'Assignments, oldest first',
  'x-access': 'operator',
  request: { query: pageQuery },
  responses: { 200: json(pageOf(assignment, 'AssignmentPage'), 'A page') },
})

export const removeAssignment = defineRoute({
  method: 'delete',
  path: '/v1/assignments/{id}',
  operationId: 'removeAssignment',
  summary: 'Take an assignment back; nodes keep what they have unpacked',
  'x-access': 'operator',
  request: { params: z.strictObject({ id }) },
  responses: { 204: { description: 'It is gone' } },
})
