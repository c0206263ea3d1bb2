/** What an agent tells while it runs. */
import type { Digest } from '../image/digest.ts'
import type { PlanWarning } from '../plan/document.ts'
import type { Lazy } from '../runner/chain/lazy.ts'
import type { UnpackEvent } from '../runner/unpack/types.ts'

/** The outcome of one plan of the assignment. */
export interface PlanOutcome {
  digest: Digest
  reference: string
  snapshotter: string
  state: 'applied' | 'failed'
  /** The chain was there, so that nothing had to be done. */
  ready: boolean
  /** Of the top layer; where the plan is applied. */
  chainID?: Digest | ''
  /** How many layers are lazy; absent under snapshotters that unpack every layer, or do not tell. */
  lazy?: Lazy
  /** The plan's and the run's; absent where there are none. */
  warnings?: PlanWarning[]
  error?: { code: string; message: string; fix?: string }
  durationMs: number
}

/** The outcome of one round. */
export interface RoundResult {
  generation: number
  /** Whether the server had another assignment than the last time. */
  changed: boolean
  plans: PlanOutcome[]
  /** Whether a report was sent; what the server knows already is not reported again. */
  reported: boolean
}

export type AgentEvent =
  | { type: 'enrolled'; id: string; name: string; server: string }
  | { type: 'assignment'; generation: number; plans: number; changed: boolean }
  | { type: 'plan'; step: 'started'; digest: Digest; reference: string; snapshotter: string }
  | { type: 'plan'; step: 'done'; outcome: PlanOutcome }
  | { type: 'unpack'; digest: Digest; event: UnpackEvent }
  | { type: 'reported'; generation: number; recorded: number }
  | { type: 'failed'; error: unknown; waitMs: number }
  | { type: 'waiting'; waitMs: number }
