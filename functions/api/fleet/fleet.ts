/**
 * The Durable Object of a fleet. Every change of what nodes should have comes through it, one after another, because each
 * change needs a generation of its own; D1 keeps the outcome and answers every question about it. Rollouts and their pace, and
 * telling nodes over WebSockets, belong here when they come.
 */
import { DurableObject } from 'cloudflare:workers'
import type { Database } from '../store/fleet-database.ts'
import { createStore } from '../store/store.ts'
import type { Store } from '../store/store.ts'
import { assign } from './assign.ts'
import type { AssignInput } from './assign.ts'
import { admitNode } from './enrol.ts'
import type { EnrolInput, EnrolOutcome } from './enrol.ts'

/** A deployed name: Cloudflare and workerd find the object's data by its class (wrangler.toml, serve.capnp). */
export class Fleet extends DurableObject<{ DB: Database }> {
  #turn: Promise<unknown> = Promise.resolve()

  /** Enrols a node, and gives it the assignments whose selectors match its labels. */
  enrol(input: EnrolInput & { fleet: string }): Promise<EnrolOutcome> {
    return this.#inTurn(input.fleet, (store, generation) => admitNode(store, input, generation))
  }

  /** Removes a node with its token, its assignments and its reports. False if there is none. */
  remove(fleet: string, nodeId: string): Promise<boolean> {
    return this.#inTurn(fleet, (store) => store.enrolment.remove(nodeId))
  }

  /** Gives plans to every node that a selector matches. Gives the assignment's id. */
  assign(input: AssignInput & { fleet: string }): Promise<string> {
    return this.#inTurn(input.fleet, (store, generation) => assign(store, input, generation))
  }

  /** Takes an assignment back. False if there is none. */
  unassign(fleet: string, id: string): Promise<boolean> {
    return this.#inTurn(fleet, (store, generation) => store.assignments.remove(id, generation))
  }

  /**
   * Runs one decision after all before it, with a generation above every one that was ever given. The generation is stored
   * before it is used, so that a decision that fails leaves a gap and no generation is given twice. The queue is needed
   * because awaiting D1 lets other calls in: input gates close for the object's own storage only.
   */
  #inTurn<T>(fleet: string, decide: (store: Store, generation: number) => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      const store = createStore(this.env.DB, fleet)
      // The higher of the two: either may have been put back from a backup older than the other.
      const latest = Math.max(
        (await this.ctx.storage.get<number>('generation')) ?? 0,
        await store.assignments.latestGeneration(),
      )
      await this.ctx.storage.put('generation', latest + 1)
      return await decide(store, latest + 1)
    })
    // The next turn comes whether or not this one fails; its own caller is told of the failure.
    this.#turn = mine.then(
      () => undefined,
      () => undefined,
    )
    return mine
  }
}
