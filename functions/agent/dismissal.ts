import { hasCode, LayercastError, type Code } from '../errors.ts'

/**
 * What no waiting helps, and all that ends an agent: it has no token to begin with, it was started wrongly, or the server itself,
 * in a problem document of its own, said that the token is not good any more. Whatever else comes for an answer is waited out.
 */
export class Dismissal extends LayercastError {}

/** What the server says of a token that it does not take; no status and no proxy's page makes one of these. */
const NODE_TOKEN_REFUSED: readonly Code[] = ['TOKEN_INVALID', 'TOKEN_REVOKED', 'TOKEN_EXPIRED']
const JOIN_TOKEN_REFUSED: readonly Code[] = [...NODE_TOKEN_REFUSED, 'TOKEN_USED_UP', 'TOKEN_SCOPE']

export function refusesNodeToken(error: unknown): boolean {
  return hasCode(error, ...NODE_TOKEN_REFUSED)
}

/** The error of an enrolment: a dismissal where the server refused the join token, else as it was. */
export function ofEnrolment(error: unknown): unknown {
  if (!hasCode(error, ...JOIN_TOKEN_REFUSED)) return error
  const { code, message, fix, detail } = error
  return new Dismissal(code, message, { cause: error, detail, ...(fix === undefined ? {} : { fix }) })
}
