/** What a repair takes, finds, reports and returns. */
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
  /** Whether the trees are compared too, and layers with a wrong tree made again. */
  deep?: boolean | undefined
  /** With `deep`: whether the content of the files is compared too. */
  contents?: boolean | undefined
  /** Who writes the layers that are made again, as `unpack` takes it. */
  applier?: ApplierChoice | Applier | undefined
  /** Where missing blobs may come from, as `unpack` takes it. They are fetched before anything is removed. */
  blobs?: BlobProviderOptions | undefined
  signal?: AbortSignal | undefined
  onEvent?: ((event: RepairEvent) => void) | undefined
}

export type RepairEvent =
  | { type: 'labels'; update: LabelUpdate }
  | { type: 'removed'; removal: Removal }
  | { type: 'leftover'; key: string }
  | { type: 'gc-label'; step: 'lowered' | 'restored' }
  /** Of the unpack that follows. */
  | UnpackEvent

/** What a repair found, and what it did or would do about it. */
export interface RepairFindings {
  /** The plan's digest. */
  plan: Digest
  reference: string
  snapshotter: string
  chainID: Digest | ''
  before: VerifyReport
  /** Where the trees were compared. */
  tree?: TreeReport
  decision: Decision
  /** Active snapshots that killed unpackers left on those that are removed. They are removed too. */
  leftovers: string[]
}

export interface RepairDryRun extends RepairFindings {
  /** Who uses what would be removed. Where there is any, the repair is refused. */
  users: SnapshotUser[]
  /** Blobs without which the repair is refused. */
  missing: Digest[]
  /** Why the named sources of blobs do not help. */
  problems: string[]
  /** What to do about that. */
  fixes: string[]
}

export interface RepairResult extends RepairFindings {
  /** Everything is as planned now. */
  ok: boolean
  /** The blobs of layers that were damaged, and were replaced from the named sources. */
  healed: Digest[]
  /** Absent where there was nothing to do. */
  unpacked?: UnpackResult
  after: VerifyReport
  treeAfter?: TreeReport
  ms: number
}
