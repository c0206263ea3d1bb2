/** Nodes, as operators see them, and how a machine becomes one. */
import { z } from '@hono/zod-openapi'
import {
  digest,
  id,
  json,
  jsonBody,
  labels,
  nodeName,
  pageOf,
  pageQuery,
  snapshotterName,
  timestamp,
} from './fields.ts'
import { defineRoute } from './route.ts'

const fact = z.string().max(256)

/** What a node states of itself. */
const facts = z
  .strictObject({
    os: fact,
    architecture: fact,
    kernel: fact.optional(),
    backend: z.enum(['containerd', 'embedded']),
    containerdVersion: fact.optional(),
    snapshotters: z.array(snapshotterName).max(64),
  })
  .openapi('Facts')

export type Facts = z.infer<typeof facts>

const reportState = z.enum(['pending', 'applied', 'failed'])

const reportError = z.strictObject({ code: z.string().max(64), message: z.string().max(2048) })

const lazy = z
  .strictObject({ layers: z.number().int().min(0), of: z.number().int().min(0) })
  .openapi('LazyLayers', { description: 'How many layers are not unpacked on the node, of all' })

/** What a node reports of one plan. */
export const planReport = z
  .strictObject({
    digest,
    state: reportState,
    error: reportError.optional(),
    chainID: z.union([digest, z.literal('')]).optional(),
    durationMs: z.number().int().min(0).optional(),
    lazy: lazy.optional(),
  })
  .openapi('PlanReport')

/** A plan that a node is assigned, with the node's last report on it; `pending` where there is none yet. */
const nodePlan = z
  .object({
    digest,
    reference: z.string(),
    snapshotter: z.string(),
    state: reportState,
    error: reportError.optional(),
    chainID: z.string().optional(),
    durationMs: z.number().int().optional(),
    lazy: lazy.optional(),
    generation: z.number().int().optional().openapi({ description: 'Of the assignment that the report is about' }),
    reportedAt: timestamp.optional(),
  })
  .openapi('NodePlan')

const node = z
  .object({
    id,
    name: nodeName,
    labels,
    facts,
    createdAt: timestamp,
    seenAt: timestamp.openapi({ description: 'When it last called, to the minute' }),
    generation: z.number().int().openapi({ description: 'Of what it should have now' }),
    reportedGeneration: z.number().int().openapi({ description: 'The newest that it reported on; 0 for none' }),
    plans: z.array(nodePlan),
  })
  .openapi('Node')

export type Node = z.infer<typeof node>

/** Text that an Authorization header can carry. A node that kept any other token could not call the server again. */
const token = z.string().regex(/^[\x21-\x7e]{1,512}$/)

const enrolled = z.object({ id, name: nodeName, token }).openapi('EnrolledNode')

export const enrolNode = defineRoute({
  method: 'post',
  path: '/v1/nodes',
  operationId: 'enrolNode',
  summary: 'Become a node',
  description:
    'A name is taken once (NODE_EXISTS) until an operator removes the node. The same name with the same enrolmentKey ' +
    'is the same node asking again: it keeps its id and gets a new token, and the token before stops working.',
  'x-access': 'join',
  'x-body-limit': 64 * 1024,
  request: {
    body: jsonBody(
      z
        .strictObject({
          name: nodeName,
          labels: labels.default({}),
          facts,
          enrolmentKey: z.string().min(32).max(256).optional().openapi({
            description: 'A secret that the machine makes and keeps before it asks, so that it can ask again',
          }),
        })
        .openapi('EnrolNode'),
    ),
  },
  responses: {
    200: json(enrolled, 'The same node again, with a new token'),
    201: json(enrolled, 'A new node; its token is shown this once'),
  },
})

export const listNodes = defineRoute({
  method: 'get',
  path: '/v1/nodes',
  operationId: 'listNodes',
  summary: 'Nodes by name: what each should have and what it reported',
  'x-access': 'operator',
  request: { query: pageQuery },
  responses: { 200: json(pageOf(node, 'NodePage'), 'A page') },
})

export const getNode = defineRoute({
  method: 'get',
  path: '/v1/nodes/{id}',
  operationId: 'getNode',
  summary: 'One node',
  'x-access': 'operator',
  request: { params: z.strictObject({ id }) },
  responses: { 200: json(node, 'The node') },
})

export const removeNode = defineRoute({
  method: 'delete',
  path: '/v1/nodes/{id}',
  operationId: 'removeNode',
  summary: 'Forget a node; its token stops working, its name is free again',
  'x-access': 'operator',
  request: { params: z.strictObject({ id }) },
  responses: { 204: { description: 'It is gone' } },
})

export const putFacts = defineRoute({
  method: 'put',
  path: '/v1/nodes/{id}/facts',
  operationId: 'putFacts',
  summary: 'A node says what it is now; that node only',
  'x-access': 'node',
  'x-body-limit': 64 * 1024,
  request: { params: z.strictObject({ id }), body: jsonBody(facts) },
  responses: { 204: { description: 'They are kept' } },
})
