/** The events that every operation on a node sends: its retries, its lease, its warnings. */
import type { RetryEvent } from '../../kit/retry.ts'

export type OperationEvent =
  | RetryEvent
  | { type: 'lease'; id: string; step: 'created' | 'deleted' }
  | { type: 'warning'; code: string; detail: string }

/** Takes the events of an operation. A function that takes more kinds of event fits too. */
export type EmitOperation = (event: OperationEvent) => void
