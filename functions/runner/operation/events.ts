/** What every operation tells that changes a node: its lease, its retries, its warnings. */
import type { RetryEvent } from '../../kit/retry.ts'

export type OperationEvent =
  | RetryEvent
  | { type: 'lease'; id: string; step: 'created' | 'deleted' }
  | { type: 'warning'; code: string; detail: string }

/** Takes the events of an operation, or of one that tells more than these. */
export type EmitOperation = (event: OperationEvent) => void
