/** One repair of a chain at a time on a node. */
import { createHash } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { createMarkedLease } from '../../node/marked-lease.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import type { EmitOperation } from '../operation/events.ts'
import { dropLease } from '../operation/lease.ts'
import { dropLeftBehind } from '../operation/left-behind.ts'

const LOCK_SECONDS = 60 * 60

/**
 * Runs `work` as the only repair of this chain on the node: each of two would remove what the other has just made. The lock is a lease
 * whose name is computed from the snapshotter and the lowest chain ID. When its process was killed, the next repair removes it, or
 * it expires. ALREADY_EXISTS where another repair is at work.
 */
export async function withRepairLock<T>(
  backend: Backend,
  plan: Plan,
  emit: EmitOperation,
  work: () => Promise<T>,
): Promise<T> {
  const hash = createHash('sha256')
    .update(`${plan.snapshotter} ${plan.layers[0]?.chainID ?? ''}`)
    .digest('hex')
  const id = `layercast-repair-${hash.slice(0, 32)}`
  if (!(await take(backend, id))) {
    await dropLeftBehind(backend, emit)
    if (!(await take(backend, id))) {
      throw new LayercastError('ALREADY_EXISTS', `another repair of this chain under ${plan.snapshotter} is at work`, {
        fix: `Wait for its end, or delete lease ${id} where its runner is gone.`,
        detail: { lease: id },
      })
    }
  }
  // Without its events: the lock is not the lease that holds what the repair makes.
  const release = { what: `delete lease ${id}`, run: () => dropLease(backend, id, () => {}) }
  let result: T
  try {
    result = await work()
  } catch (error) {
    throw await cleanUp(error, [release])
  }
  await release.run()
  return result
}

async function take(backend: Backend, id: string): Promise<boolean> {
  try {
    await createMarkedLease(backend, { id, expiresInSeconds: LOCK_SECONDS })
    return true
  } catch (error) {
    if (hasCode(error, 'ALREADY_EXISTS')) return false
    throw error
  }
}
