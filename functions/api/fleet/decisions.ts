/** What a request may have its own fleet's Durable Object decide. */
import type { DurableObjectNamespace } from '@cloudflare/workers-types'
import type { AssignInput } from './assign.ts'
import type { EnrolInput, EnrolOutcome } from './enrol.ts'
import type { Fleet } from './fleet.ts'

/** The name of the one fleet that there is for now. Every row and the Durable Object carry it, so that more can come. */
export const DEFAULT_FLEET = 'default'

export type Decisions = ReturnType<typeof decisionsOf>

/**
 * The decisions of one fleet. The object is not asked before a decision is. Its methods keep their arguments from version to
 * version: while a new version is deployed, the Worker and the object may run different ones for some seconds.
 */
export function decisionsOf(objects: DurableObjectNamespace<Fleet>, fleet: string) {
  const object = () => objects.get(objects.idFromName(fleet))
  return {
    enrol: (input: EnrolInput): Promise<EnrolOutcome> => object().enrol({ ...input, fleet }),
    removeNode: (nodeId: string): Promise<boolean> => object().remove(fleet, nodeId),
    assign: (input: AssignInput): Promise<string> => object().assign({ ...input, fleet }),
    unassign: (assignmentId: string): Promise<boolean> => object().unassign(fleet, assignmentId),
  }
}
