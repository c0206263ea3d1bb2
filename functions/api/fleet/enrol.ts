/** Who becomes a node. */
import { equalInConstantTime } from '../hash.ts'
import { newId } from '../id.ts'
import type { Store } from '../store/store.ts'
import type { JoinToken } from '../store/tokens.ts'

export interface EnrolInput {
  name: string
  labels: Readonly<Record<string, string>>
  /** JSON. */
  facts: string
  /** The sha256 of the machine's enrolment key, or null if it has none. */
  enrolmentSha256: string | null
  joinTokenId: string
  /** The node's token to be: its id and its sha256. Its text never comes here. */
  token: { id: string; sha256: string }
}

export type EnrolOutcome =
  | { outcome: 'enrolled' | 'again'; nodeId: string }
  | { outcome: 'name-taken' | 'used-up' | 'revoked' }

/**
 * Makes a node. Where the name is taken, gives the node a new token if the machine proves by its enrolment key that it is the
 * same one. Without that proof the name stays taken: whoever holds a join token could otherwise shut a node out, or become
 * it. Enrolling again costs no use of the join token, so that a machine whose answer was lost can ask once more.
 */
export async function admitNode(store: Store, input: EnrolInput, generation: number): Promise<EnrolOutcome> {
  const known = await store.enrolment.findByName(input.name)
  if (known !== undefined && !isSameMachine(known.enrolmentSha256, input.enrolmentSha256)) {
    return { outcome: 'name-taken' }
  }
  const refused = refusalOf(await store.tokens.findJoinToken(input.joinTokenId), known === undefined)
  if (refused !== undefined) return { outcome: refused }
  if (known !== undefined) {
    await store.enrolment.replace({ ...input, id: known.id, generation })
    return { outcome: 'again', nodeId: known.id }
  }
  const nodeId = newId()
  await store.enrolment.add({ ...input, id: nodeId, generation })
  return { outcome: 'enrolled', nodeId }
}

function isSameMachine(kept: string | null, given: string | null): boolean {
  return kept !== null && given !== null && equalInConstantTime(kept, given)
}

/** Why a join token no longer lets a node in. It was good when the call was let in; another call may have changed that. */
function refusalOf(token: JoinToken | undefined, costsUse: boolean): 'used-up' | 'revoked' | undefined {
  if (token === undefined || token.revokedAt !== null) return 'revoked'
  return costsUse && token.maxUses !== null && token.uses >= token.maxUses ? 'used-up' : undefined
}
