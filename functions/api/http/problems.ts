/** Errors as answers: every error of the API becomes one RFC 9457 problem document. */
import type { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { PROBLEM_TYPE, toProblem } from '../../contract/problem.ts'
import { CODES, LayercastError } from '../../errors.ts'
import type { Code } from '../../errors.ts'
import { newId } from '../id.ts'

/** The answer that tells an error. */
export function answerProblem(c: Context, error: unknown): Response {
  const known = knownError(error)
  const headers: Record<string, string> = { 'content-type': PROBLEM_TYPE }
  if (known.status === 401) headers['www-authenticate'] = 'Bearer realm="layercast"'
  const { allow } = known.detail
  if (known.code === 'METHOD_NOT_ALLOWED' && Array.isArray(allow)) headers['allow'] = allow.join(', ')
  return new Response(JSON.stringify(toProblem(known, c.req.path)), { status: known.status, headers })
}

/** What a schema refused, as one error: the code of the one field that is wrong if it has one, else REQUEST_INVALID with all issues. */
export function refusal(target: string, error: z.ZodError): LayercastError {
  const issues = error.issues.map((issue) => ({ path: [target, ...issue.path].join('.'), message: wordsOf(issue) }))
  const [first] = issues
  const message = first === undefined ? 'the request is not valid' : `${first.path}: ${first.message}`
  return new LayercastError(ownCode(error) ?? 'REQUEST_INVALID', message, {
    fix: 'See /openapi.json for what this call takes.',
    detail: { issues: issues.slice(0, 16) },
  })
}

/** The words of an issue. For the key of a record, those of the key's own schema: they say more than "Invalid key in record". */
function wordsOf(issue: z.core.$ZodIssue): string {
  return (issue.code === 'invalid_key' && issue.issues[0]?.message) || issue.message
}

function ownCode(error: z.ZodError): Code | undefined {
  const [issue] = error.issues
  if (error.issues.length !== 1 || issue?.code !== 'custom') return undefined
  const code: unknown = issue.params?.['code']
  return typeof code === 'string' && Object.hasOwn(CODES, code) ? (code as Code) : undefined
}

function knownError(error: unknown): LayercastError {
  if (error instanceof LayercastError) return error
  if (error instanceof HTTPException && error.status === 415) {
    return new LayercastError('MEDIA_TYPE_UNSUPPORTED', 'this call takes no body of that Content-Type', {
      cause: error,
      fix: 'See /openapi.json for the types that it takes.',
    })
  }
  if (error instanceof HTTPException && error.status < 500) {
    return new LayercastError('REQUEST_INVALID', error.message, {
      cause: error,
      fix: 'See /openapi.json for what this call takes.',
    })
  }
  return unknownError(error)
}

/** Of an error that nobody foresaw only an id leaves the server. The log has the rest under that id. */
function unknownError(error: unknown): LayercastError {
  const id = newId()
  const told = error instanceof Error ? { name: error.name, message: error.message, stack: error.stack } : String(error)
  console.error(JSON.stringify({ level: 'error', id, error: told }))
  return new LayercastError('INTERNAL', 'something went wrong here that should not have', {
    cause: error,
    fix: `Ask who runs this server to look for ${id} in its log.`,
    detail: { id },
  })
}
