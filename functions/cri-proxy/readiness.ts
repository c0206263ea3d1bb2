/** Sees to it that the chain of an image is there under a snapshotter, with its labels, before a container is created on it. */
import { hasCode } from '../errors.ts'
import { statOrNone } from '../node/or-none.ts'
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
  /** Chains whose labels were found right, by snapshotter and chain ID. Labels of a committed snapshot are changed by nobody in passing. */
  readonly #labelled = new Set<string>()

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
      const { snapshotter, isDefault } = await this.#node.snapshotterOf(handler)
      if (isDefault && profileOf({ profile: snapshotter }).content === 'local') {
        return { outcome: 'skipped', snapshotter, reference: image, layers: 0, warnings: [] }
      }
      const planned = await this.#node.planOf(image, snapshotter, said)
      const { chainID } = planned.plan
      const key = `${snapshotter} ${chainID}`
      const under = this.#making.get(key)
      if (under !== undefined) return await under
      if (chainID === '') return madeOf(planned, 'ready')
      const top = await statOrNone(backend.snapshotter(snapshotter), chainID)
      const readsLabels = profileOf(planned.plan).requires.length > 0
      if (top?.kind === 'committed' && (!readsLabels || this.#labelled.has(key))) return madeOf(planned, 'ready')
      this.#labelled.delete(key)
      // Asked again: others may have begun while this one looked.
      const now = this.#making.get(key)
      if (now !== undefined) return await now
      const making = top?.kind === 'committed' ? this.#relabel(planned, key) : this.#make(planned, key)
      this.#making.set(key, making)
      try {
        return await making
      } finally {
        this.#making.delete(key)
      }
    })
  }

  async #make(planned: Planned, key: string): Promise<Made> {
    const backend = await this.#node.backend()
    const { warnings } = await unpack({ backend, planned, signal: this.#signal })
    if (profileOf(planned.plan).requires.length > 0) return await this.#relabel(planned, key, 'unpacked', warnings)
    return madeOf(planned, 'unpacked', { why: 'the chain was not there', warnings: warnings.map(textOf) })
  }

  /** A chain that is there may have been made by an unpacker that sends no labels. */
  async #relabel(
    planned: Planned,
    key: string,
    outcome: Outcome = 'ready',
    warnings: readonly { code: string; detail: string }[] = [],
  ): Promise<Made> {
    const backend = await this.#node.backend()
    const report = await verifyChain({ backend, plan: planned.plan })
    const said = warnings.map(textOf)
    if (report.ok) {
      this.#labelled.add(key)
      const why = outcome === 'unpacked' ? { why: 'the chain was not there' } : {}
      return madeOf(planned, outcome, { ...why, warnings: said })
    }
    try {
      await repairChain({ backend, planned, signal: this.#signal })
    } catch (error) {
      if (!hasCode(error, 'SNAPSHOT_IN_USE')) throw error
      return madeOf(planned, 'left', { why: `${report.state}: ${error.message}`, warnings: said })
    }
    this.#labelled.add(key)
    return madeOf(planned, 'repaired', { why: `the chain was ${report.state}`, warnings: said })
  }
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
