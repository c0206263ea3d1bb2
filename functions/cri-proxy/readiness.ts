/** Sees to it that the chain of an image is there under a snapshotter, with its labels, before a container is created on it. */
import { hasCode } from '../errors.ts'
import { statOrNone } from '../node/or-none.ts'
import type { Backend } from '../node/ports.ts'
import type { Planned } from '../plan/document.ts'
import { profileOf } from '../plan/profiles.ts'
import { repairChain } from '../runner/repair/repair.ts'
import { unpack } from '../runner/unpack/unpack.ts'
import { verifyChain } from '../runner/verify/verify.ts'
import type { NodeState } from './node-state.ts'

/**
 * `ready`: it was there. `unpacked`: it was made now. `repaired`: it was there with wrong labels, and is right now.
 * `left`: it was there with wrong labels, and something stands on it. `skipped`: containerd itself unpacks for this snapshotter.
 */
export type Outcome = 'ready' | 'unpacked' | 'repaired' | 'left' | 'skipped'

export interface Made {
  outcome: Outcome
  snapshotter: string
  reference: string
  /** Layers of the chain. */
  layers: number
  /** Why what was found was not good enough, and for `left` why it stays. */
  why?: string
  warnings: readonly string[]
}

export class Readiness {
  readonly #node: NodeState
  readonly #signal: AbortSignal
  /** What is under way, by snapshotter and chain: several containers of one image wait for one unpack. */
  readonly #making = new Map<string, Promise<Made>>()
  /**
   * Chains that were found right, by snapshotter and chain: when their top snapshot was made. One that was made later is another
   * unpacker's; to make any layer again, all that stands on it has to go.
   */
  readonly #right = new Map<string, number>()

  /** @param signal ends what is under way, with everything half made removed */
  constructor(node: NodeState, signal: AbortSignal) {
    this.#node = node
    this.#signal = signal
  }

  /** How many chains are being made. */
  get pending(): number {
    return this.#making.size
  }

  /**
   * Makes the image ready for a runtime handler.
   * @param handler as CRI names it; empty for the default one
   * @param image as CRI names it: an ID, a tag or a digest
   * @param said as the pod's author wrote it, where the call says so
   * @throws LayercastError as `NodeState`, `unpack` and `repair`
   */
  async ensure(handler: string, image: string, said?: string): Promise<Made> {
    return await this.#node.run(async (backend) => {
      const { snapshotter, isDefault } = await this.#node.snapshotterOf(backend, handler)
      if (isDefault && profileOf({ profile: snapshotter }).content === 'local') {
        return { outcome: 'skipped', snapshotter, reference: image, layers: 0, warnings: [] }
      }
      const planned = await this.#node.planOf(backend, image, snapshotter, said)
      const { chainID } = planned.plan
      const key = `${snapshotter} ${chainID}`
      const under = this.#making.get(key)
      if (under !== undefined) return await under
      if (chainID === '') return madeOf(planned, 'ready')
      const top = await statOrNone(backend.snapshotter(snapshotter), chainID)
      if (top?.kind === 'committed' && this.#right.get(key) === top.createdAt.getTime()) return madeOf(planned, 'ready')
      // Asked again: others may have begun while this one looked.
      const now = this.#making.get(key)
      if (now !== undefined) return await now
      const making = this.#make(backend, planned, top?.kind === 'committed')
      this.#making.set(key, making)
      try {
        const made = await making
        if (made.outcome !== 'left') await this.#remember(backend, planned, key)
        return made
      } finally {
        this.#making.delete(key)
      }
    })
  }

  /** Waits until nothing is being made any more. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#making.values())
  }

  /**
   * Also where the chain is there it is looked at as a whole: a killed process may have left it without the gc label that keeps it,
   * another unpacker without the labels that the snapshotter reads.
   */
  async #make(backend: Backend, planned: Planned, isThere: boolean): Promise<Made> {
    const readsLabels = profileOf(planned.plan).requires.length > 0
    if (isThere && readsLabels) return await this.#relabel(backend, planned, 'ready', [])
    const { ready, warnings } = await unpack({ backend, planned, signal: this.#signal })
    const outcome: Outcome = ready ? 'ready' : 'unpacked'
    if (readsLabels) return await this.#relabel(backend, planned, outcome, warnings)
    return madeOf(planned, outcome, { ...whyMade(outcome, isThere), warnings: warnings.map(textOf) })
  }

  /** A chain that is there may have been made by an unpacker that sends no labels. */
  async #relabel(
    backend: Backend,
    planned: Planned,
    outcome: Outcome,
    warnings: readonly { code: string; detail: string }[],
  ): Promise<Made> {
    const report = await verifyChain({ backend, plan: planned.plan })
    const said = warnings.map(textOf)
    if (report.ok) return madeOf(planned, outcome, { ...whyMade(outcome, false), warnings: said })
    try {
      await repairChain({ backend, planned, signal: this.#signal })
    } catch (error) {
      if (!hasCode(error, 'SNAPSHOT_IN_USE')) throw error
      return madeOf(planned, 'left', { why: `${report.state}: ${error.message}`, warnings: said })
    }
    return madeOf(planned, 'repaired', { why: `the chain was ${report.state}`, warnings: said })
  }

  async #remember(backend: Backend, { plan }: Planned, key: string): Promise<void> {
    const top = await statOrNone(backend.snapshotter(plan.snapshotter), plan.chainID)
    if (top === undefined) this.#right.delete(key)
    else this.#right.set(key, top.createdAt.getTime())
  }
}

function whyMade(outcome: Outcome, isThere: boolean): { why?: string } {
  if (outcome !== 'unpacked') return {}
  return { why: isThere ? 'nothing kept the chain' : 'the chain was not there' }
}

function madeOf(
  { plan }: Planned,
  outcome: Outcome,
  options: { why?: string; warnings?: readonly string[] } = {},
): Made {
  const { snapshotter, reference, layers } = plan
  return { outcome, snapshotter, reference, layers: layers.length, warnings: [], ...options }
}

function textOf({ code, detail }: { code: string; detail: string }): string {
  return `${code}: ${detail}`
}
