/** What every operation does when its signal fires: it stops, cleans up, and fails with ABORTED. */
import { hasCode, LayercastError } from '../errors.ts'

/** The error of a run that was told to stop. */
function abortedError(signal: AbortSignal, cause?: unknown): LayercastError {
  return new LayercastError('ABORTED', 'stopped before it was done; what it had prepared was removed', {
    cause: cause ?? signal.reason,
    fix: 'Run the same command again; layers that are done are not done twice.',
  })
}

/** Throws ABORTED once the signal has fired. */
export function checkAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortedError(signal)
}

/** An error met after the signal fired is a consequence of it, whatever it calls itself. */
export function asAborted(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && !hasCode(error, 'ABORTED') ? abortedError(signal, error) : error
}

/** Waits for the promise or for the signal, whichever is first. ABORTED in the second case. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  checkAborted(signal)
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(abortedError(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, stopped])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
