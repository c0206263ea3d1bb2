import type { Digest } from '../../image/digest.ts'
import { orAborted } from '../../kit/abort.ts'
import type { Backend } from '../../node/ports.ts'

/**
 * Held while this process makes one chain ID of one snapshotter, so that two unpacks in one process never write the same
 * layer twice: the second waits, and then finds it. Between processes the snapshotter itself decides who was first.
 */
const tails = new WeakMap<Backend, Map<string, Promise<void>>>()

/** Runs `work` alone for this chain ID; `waited` says whether another had it in between. ABORTED while waiting. */
export async function withChainLock<T>(
  backend: Backend,
  snapshotter: string,
  chainID: Digest,
  signal: AbortSignal,
  work: (waited: boolean) => Promise<T>,
): Promise<T> {
  const locks = locksOf(backend)
  const key = `${snapshotter} ${chainID}`
  const before = locks.get(key)
  const { promise: mine, resolve: release } = Promise.withResolvers<void>()
  const tail = before === undefined ? mine : before.then(() => mine)
  locks.set(key, tail)
  // Only once all before have let go too: who gave up waiting must not open the way past who still works.
  void tail.then(() => locks.get(key) === tail && locks.delete(key))
  try {
    if (before !== undefined) await orAborted(before, signal)
    return await work(before !== undefined)
  } finally {
    release()
  }
}

function locksOf(backend: Backend): Map<string, Promise<void>> {
  const known = tails.get(backend)
  if (known) return known
  const fresh = new Map<string, Promise<void>>()
  tails.set(backend, fresh)
  return fresh
}
