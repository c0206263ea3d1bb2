/** Waits, and how long they are. */
import { setTimeout as sleep } from 'node:timers/promises'

/** The longest time that a timer takes, in milliseconds; it fires at once for more. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Waits, or until the signal fires: callers that are not to go on check it. Timers go by the monotonic clock. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, { signal })
  } catch (error) {
    if (signal?.aborted !== true) throw error
  }
}

/** Blocks this thread, where what it waits for is another process and the caller is synchronous. */
export function pauseSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/**
 * Whole milliseconds, longer or shorter by up to a share of the wait, so that those who met the same failure at once do not
 * try again in step.
 */
export function jittered(ms: number, share = 0.2): number {
  return Math.round(ms * (1 + share * (2 * Math.random() - 1)))
}
