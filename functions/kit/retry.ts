/** Tries again what failed because a service was not there. */
import { hasCode } from '../errors.ts'
import { checkAborted } from './abort.ts'
import { jittered, pause } from './pause.ts'

const FIRST_WAIT_MS = 100
const FACTOR = 3

/** Told before each wait. */
export interface RetryEvent {
  type: 'retry'
  what: string
  /** The try that failed, from 1. */
  attempt: number
  waitMs: number
  error: unknown
}

export interface RetryOptions {
  /** What is tried, for the event. */
  what: string
  /** Absent for clean-up, which goes on after an abort. */
  signal?: AbortSignal | undefined
  /** Tries in all. Four by default: the three waits between them, 1.3 s together, outlast a daemon's restart. */
  attempts?: number | undefined
  emit?: ((event: RetryEvent) => void) | undefined
}

/** Whether trying again may help: the daemon, a proxy plugin behind it, or the registry was not there. */
function isTransient(error: unknown): boolean {
  if (hasCode(error, 'CONTAINERD_UNREACHABLE', 'REGISTRY_UNREACHABLE')) return true
  return hasCode(error, 'CONTAINERD_FAILED') && error.detail['grpc'] === 'Unavailable'
}

/** Tries again, with growing and jittered waits, while a service is unavailable. ABORTED, and the last error of `work`. */
export async function retry<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { what, signal, attempts = 4, emit } = options
  for (let attempt = 1; ; attempt++) {
    if (signal) checkAborted(signal)
    try {
      return await work()
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error
      const waitMs = jittered(FIRST_WAIT_MS * FACTOR ** (attempt - 1))
      emit?.({ type: 'retry', what, attempt, waitMs, error })
      await pause(waitMs, signal)
    }
  }
}
