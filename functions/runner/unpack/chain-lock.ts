/**
 * One lock per chain ID and snapshotter, so that two unpacks in this process never write the same layer twice: the second one
 * waits and then finds the snapshot. Between processes the snapshotter decides who was first.
 */
import type { Digest } from '../../image/digest.ts'
import { orAborted } from '../../kit/abort.ts'
import type { Backend } from '../../node/ports.ts'

/** By backend, then by snapshotter and chain ID: settles when the last one in the queue for that lock has let go. */
const queues = new WeakMap<Backend, Map<string, Promise<void>>>()

/**
 * Runs `work` while holding the lock of this chain ID. `waited` says whether somebody else held it before. ABORTED while
 * waiting; else the errors of `work`.
 *
 * @param backend the one that a run was given, and not one under a lease, of which each run has its own
 */
export async function withChainLock<T>(
  backend: Backend,
  snapshotter: string,
  chainID: Digest,
  signal: AbortSignal,
  work: (waited: boolean) => Promise<T>,
): Promise<T> {
  const ends = queuesOf(backend)
  const key = `${snapshotter} ${chainID}`
  const before = ends.get(key)
  const { promise: mine, resolve: release } = Promise.withResolvers<void>()
  // Both must be over: one that stops waiting lets go while the one before it still works.
  const end = before === undefined ? mine : before.then(() => mine)
  ends.set(key, end)
  void end.then(() => ends.get(key) === end && ends.delete(key))
  try {
    if (before !== undefined) await orAborted(before, signal)
    return await work(before !== undefined)
  } finally {
    release()
  }
}

function queuesOf(backend: Backend): Map<string, Promise<void>> {
  const known = queues.get(backend)
  if (known) return known
  const fresh = new Map<string, Promise<void>>()
  queues.set(backend, fresh)
  return fresh
}
