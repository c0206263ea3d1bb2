/**
 * The Durable Object of a fleet: what must be decided in one place. That is which generation each node's assignment has,
 * and so every change of who should have what comes through here, one after another; D1 keeps the outcome and answers
 * every question about it. Rollouts and their pace, and telling nodes over WebSockets, belong here when they come.
 */
import { DurableObject } from 'cloudflare:workers'
import type { Env } from '../env.ts'
import { latestGeneration } from '../store/nodes.ts'
import { assign, unassign } from './assign.ts'
import type { AssignInput } from './assign.ts'
import { enrol, remove } from './enrol.ts'
import type { EnrolInput } from './enrol.ts'

export class Fleet extends DurableObject<Env> {
  #turn: Promise<unknown> = Promise.resolve()

  /** Enrols a node, and gives it the assignments whose selectors match its labels. */
  enrol(input: EnrolInput) {
    return this.#inTurn(input.fleet, (generation) => enrol(this.env.DB, input, generation))
  }

  /** Forgets a node with its token, its assignment and its reports. False if there is none. */
  remove(fleet: string, nodeId: string) {
    return this.#inTurn(fleet, () => remove(this.env.DB, fleet, nodeId))
  }

  /** Gives plans to every node that a selector matches. */
  assign(input: AssignInput) {
    return this.#inTurn(input.fleet, (generation) => assign(this.env.DB, input, generation))
  }

  /** Takes an assignment back. False if there is none. */
  unassign(fleet: string, id: string) {
    return this.#inTurn(fleet, (generation) => unassign(this.env.DB, fleet, id, generation))
  }

  /**
   * Runs one decision after all before it, with a generation above every one ever given. The generation is kept before
   * it is used: a decision that fails leaves a gap, and none is given twice. Awaiting D1 would let other calls in
   * between (input gates close for storage only), hence the turns.
   */
  #inTurn<T>(fleet: string, decide: (generation: number) => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      // The higher of the two: either may come from a backup that is older than the other.
      const kept = Math.max(
        (await this.ctx.storage.get<number>('generation')) ?? 0,
        await latestGeneration(this.env.DB, fleet),
      )
      await this.ctx.storage.put('generation', kept + 1)
      return await decide(kept + 1)
    })
    // The next turn comes whatever becomes of this one, whose failure its own caller is told.
    this.#turn = mine.then(
      () => undefined,
      () => undefined,
    )
    return mine
  }
}
