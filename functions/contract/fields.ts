/** The schemas that several routes share. */
import { z } from '@hono/zod-openapi'
import type { Code } from '../errors.ts'
import { isDigest } from '../image/digest.ts'
import type { Digest } from '../image/digest.ts'

/** The options of a zod check whose failure is answered with a code of its own instead of REQUEST_INVALID (api/http/problems.ts). */
function coded(code: Code, message: string) {
  return { message, params: { code } }
}

/** A digest of a registered algorithm, OCI image-spec descriptor.md. Anything else is DIGEST_INVALID. */
export const digest = z
  .string()
  .refine(isDigest, coded('DIGEST_INVALID', 'not a sha256, sha384 or sha512 digest'))
  .openapi('Digest', { example: `sha256:${'0'.repeat(64)}` }) as unknown as z.ZodType<Digest, string>

export const timestamp = z.iso.datetime().openapi({ example: '2026-11-24T03:00:00.000Z' })

/** The id that the server gives a node, a token or an assignment. */
export const id = z
  .string()
  .regex(/^[a-z0-9]{1,64}$/)
  .openapi({ example: '01k8yq6c0v7e5d2m4x9r3t1b8n' })

export const nodeName = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/,
    'letters, digits, dots, dashes and underscores, at most 253',
  )
  .openapi({ example: 'node-7.example' })

export const snapshotterName = z.string().min(1).max(128).openapi({ example: 'nydus' })

const labelKey = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$/, 'a label key is made of letters, digits and ._/-')
const labelValue = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9._/-]*$/, 'a label value is made of letters, digits and ._/-')

/** A node's labels: at most 64. */
export const labels = z
  .record(labelKey, labelValue)
  .refine((all) => Object.keys(all).length <= 64, 'at most 64 labels')
  .openapi('Labels', { example: { zone: 'a', pool: 'kata' } })

/**
 * An object of strings that keeps all its keys. Not z.record, which drops the key `__proto__`: an annotation may be called so,
 * and the plan's digest covers it.
 */
export const strings = z
  .custom<Record<string, string>>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((each) => typeof each === 'string'),
    'not an object of strings',
  )
  .openapi({ type: 'object', additionalProperties: { type: 'string' } })

/** How many items a page has at most, and where it begins. The cursor is opaque. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(50).openapi({ description: 'How many at most, 1 to 100' }),
  cursor: z.string().max(512).optional().openapi({ description: 'The nextCursor of the page before' }),
})

/** The schema of a page of a list. The last page has no nextCursor. */
export function pageOf<T extends z.ZodType>(item: T, name: string) {
  return z.object({ items: z.array(item), nextCursor: z.string().optional() }).openapi(name)
}

/** The request header of routes that answer 304. */
export const conditional = z.object({
  'if-none-match': z
    .string()
    .max(1024)
    .optional()
    .openapi({ description: 'ETags that the caller holds; 304 if one fits' }),
})

/** A response of JSON. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** A request body of JSON. */
export function jsonBody<T extends z.ZodType>(schema: T) {
  return { required: true as const, content: { 'application/json': { schema } } }
}
