/** Giving plans to nodes. */
import { newId } from '../id.ts'
import type { Store } from '../store/store.ts'

export interface AssignInput {
  /** The labels that a node must have; empty for every node. */
  selector: Readonly<Record<string, string>>
  /** Digests of plans, in order. */
  plans: readonly string[]
}

/** Makes an assignment of a generation. Gives its id. */
export async function assign(store: Store, { selector, plans }: AssignInput, generation: number): Promise<string> {
  const id = newId()
  await store.assignments.add({ id, selector, plans, generation })
  return id
}
