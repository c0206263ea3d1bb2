/** Errors on the wire: RFC 9457 problem details, made from and turned back into the one error family. */
import { z } from '@hono/zod-openapi'
import { CODES, LayercastError } from '../image/errors.ts'
import type { Code } from '../image/errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** Codes are documented under this URI; RFC 9457 section 3.1.1 lets a type be any stable identifier. */
const TYPE_PREFIX = 'urn:layercast:problem:'

export const problem = z
  .object({
    type: z.string().openapi({ example: `${TYPE_PREFIX}digest-invalid` }),
    title: z.string().openapi({ description: 'What sort of trouble it is; the same for every problem of one code' }),
    status: z.number().int(),
    detail: z.string().openapi({ description: 'What is wrong this time, with the value in it' }),
    code: z.string().openapi({ description: 'Stable; scripts may rely on it', example: 'DIGEST_INVALID' }),
    fix: z.string().optional().openapi({ description: 'What to do about it' }),
    instance: z.string().optional().openapi({ description: 'The path that was asked for' }),
    facts: z
      .record(z.string(), z.unknown())
      .optional()
      .openapi({ description: 'Machine-readable facts: limits, paths' }),
  })
  .openapi('Problem')

export type Problem = z.infer<typeof problem>

/** The problem document that tells an error. A cause never travels: it may hold what the caller must not see. */
export function toProblem(error: LayercastError, instance?: string): Problem {
  return {
    type: TYPE_PREFIX + error.code.toLowerCase().replaceAll('_', '-'),
    title: titleOf(error.code),
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(instance === undefined ? {} : { instance }),
    ...(Object.keys(error.detail).length === 0 ? {} : { facts: error.detail }),
  }
}

/**
 * The error that a problem document tells, with its code, fix and facts. A body that is no problem document, or has a
 * code this version does not know, becomes SERVER_FAILED (or the nearest code that the status alone tells).
 */
export function fromProblem(body: unknown, status: number, where: string): LayercastError {
  const read = problem.safeParse(body)
  if (!read.success) {
    return new LayercastError(codeOfStatus(status), `${where} answered status ${status} with no problem document`, {
      detail: { status },
      fix: 'Check that the address is that of a layercast API.',
    })
  }
  const { code, detail, fix, facts } = read.data
  const known = Object.hasOwn(CODES, code)
  return new LayercastError(known ? (code as Code) : codeOfStatus(status), known ? detail : `${code}: ${detail}`, {
    ...(fix === undefined ? {} : { fix }),
    detail: { ...facts, status },
  })
}

function titleOf(code: Code): string {
  const words = code.toLowerCase().split('_').join(' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function codeOfStatus(status: number): Code {
  if (status === 401) return 'TOKEN_INVALID'
  if (status === 403) return 'TOKEN_SCOPE'
  if (status === 404) return 'NOT_FOUND'
  if (status === 413) return 'REQUEST_TOO_LARGE'
  return 'SERVER_FAILED'
}
