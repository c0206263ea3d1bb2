/** What verify reports: how a chain's snapshots, and the tree that they show, differ from the plan. */
import type { Digest } from '../../image/digest.ts'
import type { TreeDifference, UnsureDifference } from '../../layer/compare/tree-comparison.ts'
import type { SnapshotKind } from '../../node/ports.ts'
import type { PlanWarning } from '../../plan/document.ts'
import type { Lazy } from '../chain/lazy.ts'

/**
 * The state of a chain. "Whole" means that every snapshot is there, committed, on its parent.
 *
 * - `ready`: as planned.
 * - `absent`: no snapshot of it is there.
 * - `partial`: the snapshots of the lower layers are there, those of the upper layers are not.
 * - `unlabelled`: whole, without one planned label: made by an unpacker that sends no labels.
 * - `mislabelled`: whole, with labels that are missing, different or too many.
 * - `foreign`: whole, with the labels of another image that has the same layers.
 * - `unheld`: as planned, but no gc label keeps it from the garbage collector.
 * - `broken`: a snapshot is on a wrong parent, of a wrong kind, or missing below others.
 */
export type ChainState = 'ready' | 'absent' | 'partial' | 'unlabelled' | 'mislabelled' | 'foreign' | 'unheld' | 'broken'

/** One thing about a snapshot that is not as the plan says. */
export type VerifyProblem =
  | { code: 'SNAPSHOT_MISSING' }
  | { code: 'KIND_WRONG'; actual: SnapshotKind }
  | { code: 'PARENT_WRONG'; expected: string; actual: string }
  | { code: 'LABEL_MISSING'; key: string; expected: string }
  | { code: 'LABEL_DIFFERENT'; key: string; expected: string; actual: string }
  /** A label that plans write, and this one does not. */
  | { code: 'LABEL_EXTRA'; key: string; actual: string }

export interface VerifiedLayer {
  index: number
  digest: Digest
  chainID: Digest
  problems: VerifyProblem[]
  /** The other image of the node whose labels the snapshot carries: it has this layer too, and was unpacked first. */
  labelledFor?: string
  /** Labels that neither the plan nor the profile knows. They are no problem, and are never taken away. */
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
  /** Keys of active snapshots in which an unpacker makes layers of this chain, or made them. Looked for where not `ok`. */
  leftovers: string[]
  /** How many layers are lazy; absent under a snapshotter that unpacks every layer or does not say. */
  lazy?: Lazy
  /** NOTHING_LAZY. */
  warnings: PlanWarning[]
}

/** A layer that a comparison of trees does not reach. */
export interface NotCompared {
  index: number
  digest: Digest
  why: 'snapshot missing' | 'blob missing' | 'layer unreadable' | 'above one of these'
}

/** How the tree that the snapshotter shows differs from the one that the layers describe. */
export interface TreeReport {
  /** Nothing that was compared differs. */
  ok: boolean
  /** Whether the content of the files was compared too. */
  contents: boolean
  /** How many layers, from the base up, the tree that was compared is made of. */
  compared: number
  notCompared: NotCompared[]
  /** A layer whose snapshot has lost its directory, so that there is no tree to compare. */
  lost?: { index: number; digest: Digest; chainID: Digest; path?: string }
  /** Files, directories and links that were compared. */
  entries: number
  /** The first 1000; `total` counts all. */
  differences: TreeDifference[]
  total: number
  /** Attributes and device nodes that are not there, nor any of their kind: this node may not be able to hold them. */
  unsure: UnsureDifference[]
}
