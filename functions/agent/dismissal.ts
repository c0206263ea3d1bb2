/** The errors that end an agent. */
import { hasCode, LayercastError, type Code } from '../errors.ts'

/**
 * An error that no waiting helps, so that it ends the agent: there is no token to begin with, the agent was started wrongly, or the
 * server itself, by a problem document, refuses the token. After any other error the agent waits and tries again.
 */
export class Dismissal extends LayercastError {}

/** The codes by which a server refuses a token. A status alone, or a proxy's page, gives none of these. */
const NODE_TOKEN_REFUSED: readonly Code[] = ['TOKEN_INVALID', 'TOKEN_REVOKED', 'TOKEN_EXPIRED']
const JOIN_TOKEN_REFUSED: readonly Code[] = [...NODE_TOKEN_REFUSED, 'TOKEN_USED_UP', 'TOKEN_SCOPE']

export function refusesNodeToken(error: unknown): boolean {
  return hasCode(error, ...NODE_TOKEN_REFUSED)
}

/** The error of an enrolment: a dismissal where the server refused the join token, else as it was. */
export function ofEnrolment(error: unknown): unknown {
  if (!hasCode(error, ...JOIN_TOKEN_REFUSED)) return error
  const { code, message, fix, detail } = error
  return new Dismissal(code, message, { cause: error, detail, fix })
}
