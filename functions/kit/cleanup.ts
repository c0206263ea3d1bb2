/** Undoes what a failed step has done, without losing a failure. */
import { LayercastError } from '../errors.ts'

/** One thing to undo. */
export interface CleanupStep {
  /** As in "could not <what>". */
  what: string
  run: () => Promise<void>
}

/**
 * Undoes what a failed step had done, and gives the error to throw: the first one as it was, or, where undoing failed
 * too, one of the same code that carries every failure in its cause and names them in `detail.cleanup`.
 */
export async function cleanUp(error: unknown, steps: readonly CleanupStep[]): Promise<unknown> {
  const failures: unknown[] = []
  const left: string[] = []
  for (const step of steps) {
    try {
      await step.run()
    } catch (failure) {
      failures.push(failure)
      left.push(`could not ${step.what}: ${messageOf(failure)}`)
    }
  }
  if (failures.length === 0) return error
  const first = error instanceof LayercastError ? error : undefined
  return new LayercastError(first?.code ?? 'INTERNAL', `${messageOf(error)}; and ${left.join('; and ')}`, {
    cause: new AggregateError([error, ...failures], 'a failure, and failures to clean up after it'),
    fix: first?.fix,
    detail: { ...first?.detail, cleanup: left },
  })
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
