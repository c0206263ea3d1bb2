/**
 * The store of one fleet: every query that the API makes, bound to the fleet's name. A request holds one such object and has
 * no other way to the database, so that no query can forget whose rows it asks for.
 */
import { assignmentStore } from './assignments.ts'
import { enrolmentStore } from './enrolment.ts'
import type { Database } from './fleet-database.ts'
import { imageStore } from './images.ts'
import { nodePlanStore } from './node-plans.ts'
import { nodeStore } from './nodes.ts'
import { planStore } from './plans.ts'
import { reportStore } from './reports.ts'
import { tokenStore } from './tokens.ts'

export type Store = ReturnType<typeof createStore>

/** The store of a fleet. Making one asks the database nothing. */
export function createStore(db: Database, fleet: string) {
  const bound = { db, fleet }
  return {
    images: imageStore(bound),
    plans: planStore(bound),
    nodes: nodeStore(bound),
    enrolment: enrolmentStore(bound),
    assignments: assignmentStore(bound),
    nodePlans: nodePlanStore(bound),
    reports: reportStore(bound),
    tokens: tokenStore(bound),
  }
}
