/** What a comparison of a node with a plan finds. */
import type { Digest } from '../../image/digest.ts'
import type { SnapshotKind } from '../../node/ports.ts'
import type { PlanWarning } from '../../plan/document.ts'
import type { Lazy } from '../chain/lazy.ts'

/**
 * `ready`: as planned. `absent`: none of it is there. `partial`: the lower layers are there, the upper ones are not.
 * `unlabelled`: whole, made by someone who sends no labels. `mislabelled`: whole, with labels missing, different or too
 * many. `foreign`: whole, and labelled for another image that has the same layers. `unheld`: as planned, and nothing keeps
 * it from the garbage collector. `broken`: a snapshot stands on a wrong parent, is of a wrong kind, or is missing below
 * others.
 */
export type ChainState = 'ready' | 'absent' | 'partial' | 'unlabelled' | 'mislabelled' | 'foreign' | 'unheld' | 'broken'

/** One thing that is not as the plan says. */
export type VerifyProblem =
  | { code: 'SNAPSHOT_MISSING' }
  | { code: 'KIND_WRONG'; actual: SnapshotKind }
  | { code: 'PARENT_WRONG'; expected: string; actual: string }
  | { code: 'LABEL_MISSING'; key: string; expected: string }
  | { code: 'LABEL_DIFFERENT'; key: string; expected: string; actual: string }
  /** A label that plans write by themselves, and this one does not. */
  | { code: 'LABEL_EXTRA'; key: string; actual: string }

export interface VerifiedLayer {
  index: number
  digest: Digest
  chainID: Digest
  problems: VerifyProblem[]
  /** The other image of the node whose labels the snapshot carries: it has this layer too, and came first. */
  labelledFor?: string
  /** Labels that neither the plan nor the profile knows, which is no problem: nobody takes them away. */
  unplanned?: string[]
}

/** What is wrong with the config blob, which keeps the chain from the garbage collector. */
export type ConfigProblem =
  | { code: 'CONFIG_MISSING' }
  | { code: 'GC_LABEL_MISSING'; key: string; expected: string }
  | { code: 'GC_LABEL_DIFFERENT'; key: string; expected: string; actual: string }

export interface VerifyReport {
  /** Everything is as the plan says. */
  ok: boolean
  reference: string
  snapshotter: string
  chainID: Digest | ''
  layers: VerifiedLayer[]
  config: { digest: Digest; problems: ConfigProblem[] }
  state: ChainState
  /** Keys of active snapshots in which layers of this chain are, or were, made. Looked for where not all is well. */
  leftovers: string[]
  /** How many layers are lazy; absent under snapshotters that unpack every layer, or do not tell. */
  lazy?: Lazy
  /** NOTHING_LAZY. */
  warnings: PlanWarning[]
}
