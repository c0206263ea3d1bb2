import type { Digest } from '../../image/digest.ts'
import type { Applier } from '../../layer/apply/types.ts'
import type { Backend } from '../../node/ports.ts'
import type { Planned } from '../../plan/document.ts'
import type { BlobProviderOptions } from '../blobs/types.ts'
import type { ApplierChoice, UnpackEvent, UnpackResult } from '../unpack/types.ts'
import type { TreeReport, VerifyReport } from '../verify/types.ts'
import type { Decision, LabelUpdate, Removal } from './decide.ts'
import type { SnapshotUser } from './users.ts'

export interface RepairOptions {
  backend: Backend
  planned: Planned
  /** Whether the trees are compared too, and those that differ made again. */
  deep?: boolean
  /** With `deep`: whether the content of the files counts. */
  contents?: boolean
  /** Of what is unpacked again; the backend's own where absent. */
  applier?: ApplierChoice | Applier | undefined
  /** Where missing blobs may come from, as `unpack` takes it. They are brought before anything is removed. */
  blobs?: BlobProviderOptions
  signal?: AbortSignal
  onEvent?: (event: RepairEvent) => void
  /** For how long an unpacker's active snapshot on what is to be removed counts as one at work. An hour. */
  staleAfterMs?: number
}

export type RepairEvent =
  | { type: 'labels'; update: LabelUpdate }
  | { type: 'removed'; removal: Removal }
  | { type: 'leftover'; key: string }
  | { type: 'gc-label'; step: 'lowered' | 'restored' }
  /** Of the unpack that follows. */
  | UnpackEvent

/** What a repair found and would do, or did. */
export interface RepairLook {
  /** The plan's digest. */
  plan: Digest
  reference: string
  snapshotter: string
  chainID: Digest | ''
  before: VerifyReport
  /** Where the trees were compared. */
  tree?: TreeReport
  decision: Decision
  /** What a killed unpacker left on the snapshots that are removed, and that goes with them. */
  leftovers: string[]
}

export interface RepairDryRun extends RepairLook {
  /** Who stands on what would be removed: with any of them, the repair is refused. */
  users: SnapshotUser[]
  /** Blobs without which it is refused too. */
  missing: Digest[]
  /** Why ways to them that were named do not help. */
  problems: string[]
  /** What is to be done about that. */
  fixes: string[]
}

export interface RepairResult extends RepairLook {
  /** Everything is as planned now. */
  ok: boolean
  /** Layers' blobs that were damaged, and came anew from the sources that were named. */
  healed: Digest[]
  /** Absent where nothing was to be done. */
  unpacked?: UnpackResult
  after: VerifyReport
  treeAfter?: TreeReport
  ms: number
}
