/** Errors on the wire: a LayercastError as RFC 9457 problem details, and back. */
import { z } from '@hono/zod-openapi'
import { CODES, LayercastError } from '../errors.ts'
import type { Code } from '../errors.ts'

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

/** The problem document of an error. The error's cause is left out: it may hold what the caller must not see. */
export function toProblem(error: LayercastError, instance?: string): Problem {
  return {
    type: typeOf(error.code),
    title: titleOf(error.code),
    status: error.status,
    detail: error.message,
    code: error.code,
    fix: error.fix,
    instance,
    facts: Object.keys(error.detail).length === 0 ? undefined : error.detail,
  }
}

/** How many characters of each text are kept. Any server can answer, and the texts go to logs and terminals. */
const TEXT_LIMIT = 4096

/**
 * The error that a problem document states, with its code, fix and facts, and `more` among its details. A body that is no
 * problem document becomes SERVER_FAILED, whatever its status: the 401 of a proxy says nothing of our token, its 404 nothing of
 * what was asked for. A document whose code this version does not know, or whose type or status is not the one of its code,
 * becomes NOT_FOUND for status 404, REQUEST_TOO_LARGE for 413, else SERVER_FAILED: never an error of a token, at which an
 * agent would end.
 */
export function fromProblem(
  body: unknown,
  status: number,
  where: string,
  more: Readonly<Record<string, unknown>> = {},
): LayercastError {
  const read = problem.safeParse(body)
  if (!read.success) {
    return new LayercastError('SERVER_FAILED', `${where} answered status ${status} with no problem document`, {
      detail: { status, ...more },
      fix: 'Check that the address is that of a layercast API, and that no proxy before it answers in its place.',
    })
  }
  const { type, code, facts } = read.data
  const detail = read.data.detail.slice(0, TEXT_LIMIT)
  const fix = read.data.fix?.slice(0, TEXT_LIMIT)
  const known = Object.hasOwn(CODES, code) && type === typeOf(code as Code) && read.data.status === status
  const message = known ? detail : `${code.slice(0, TEXT_LIMIT)}: ${detail}`
  return new LayercastError(known ? (code as Code) : codeOfStatus(status), message, {
    fix,
    detail: { ...facts, status, ...more },
  })
}

function typeOf(code: Code): string {
  return TYPE_PREFIX + code.toLowerCase().replaceAll('_', '-')
}

function titleOf(code: Code): string {
  const words = code.toLowerCase().split('_').join(' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function codeOfStatus(status: number): Code {
  if (status === 404) return 'NOT_FOUND'
  if (status === 413) return 'REQUEST_TOO_LARGE'
  return 'SERVER_FAILED'
}
