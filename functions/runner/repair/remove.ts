import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../../image/errors.ts'
import type { Snapshotter } from '../ports.ts'
import { checkAborted } from '../unpack/abort.ts'
import { retry } from '../unpack/retry.ts'
import type { Emit } from '../unpack/types.ts'

const TRIES = 30
const WAIT_MS = 100

/**
 * Removes a snapshot whose children are gone, or are going: the garbage collector works beside this, and takes what
 * nothing refers to any more. It may be first, which is as good, or be at a child still, which is over in a moment.
 * FAILED_PRECONDITION where a child stays.
 */
export async function removeSnapshot(snapshotter: Snapshotter, name: string, signal: AbortSignal, emit: Emit) {
  for (let tries = 1; ; tries++) {
    checkAborted(signal)
    try {
      await retry(() => snapshotter.remove(name), { what: `remove snapshot ${name}`, signal, emit })
      return
    } catch (error) {
      if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return
      if (!hasCode(error, 'FAILED_PRECONDITION') || tries === TRIES) throw error
      await sleep(WAIT_MS)
    }
  }
}
