/** Join tokens: what a machine needs to become a node. */
import { z } from '@hono/zod-openapi'
import { id, json, jsonBody, pageOf, pageQuery, timestamp } from './fields.ts'
import { defineRoute } from './route.ts'

const joinToken = z
  .object({
    id,
    note: z.string().optional(),
    createdAt: timestamp,
    expiresAt: timestamp,
    maxUses: z.number().int().optional().openapi({ description: 'Absent where there is no limit' }),
    uses: z.number().int(),
    state: z.enum(['usable', 'expired', 'used-up', 'revoked']),
  })
  .openapi('JoinToken')

export const createJoinToken = defineRoute({
  method: 'post',
  path: '/v1/join-tokens',
  operationId: 'createJoinToken',
  summary: 'Make a join token; its text is shown this once and never kept',
  'x-access': 'operator',
  'x-body-limit': 4096,
  request: {
    body: jsonBody(
      z
        .strictObject({
          ttlSeconds: z
            .number()
            .int()
            .min(1)
            .max(365 * 86_400)
            .default(86_400),
          maxUses: z.number().int().min(1).max(1_000_000).optional(),
          note: z.string().max(256).optional().openapi({ description: 'What it is for, in words' }),
        })
        .openapi('CreateJoinToken'),
    ),
  },
  responses: { 201: json(joinToken.extend({ token: z.string() }).openapi('NewJoinToken'), 'The token') },
})

export const listJoinTokens = defineRoute({
  method: 'get',
  path: '/v1/join-tokens',
  operationId: 'listJoinTokens',
  summary: 'Join tokens, oldest first',
  'x-access': 'operator',
  request: { query: pageQuery },
  responses: { 200: json(pageOf(joinToken, 'JoinTokenPage'), 'A page') },
})

export const revokeJoinToken = defineRoute({
  method: 'delete',
  path: '/v1/join-tokens/{id}',
  operationId: 'revokeJoinToken',
  summary: 'Revoke a join token; nodes that it enrolled stay',
  'x-access': 'operator',
  request: { params: z.strictObject({ id }) },
  responses: { 204: { description: 'It is revoked' } },
})
