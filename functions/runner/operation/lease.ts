import { randomBytes } from 'node:crypto'
import { hasCode } from '../../errors.ts'
import { cleanUp, messageOf } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { makeLease } from '../../node/owned-lease.ts'
import type { Backend } from '../../node/ports.ts'
import type { EmitOperation } from './events.ts'

/** The purpose of the leases that hold what others made, while it is removed. */
export const REMOVAL = 'remove'

export interface LeaseOptions {
  /** What for, in the lease's id and in no other place. */
  purpose: string
  /** A day by default. */
  expiresInSeconds?: number
  signal: AbortSignal
  emit: EmitOperation
  /** Asked when the work is done: whether something may be left that the lease alone holds. */
  untidy?: () => boolean
}

/**
 * Runs `work` over a backend whose every making is held by a lease. The lease goes at the end, also after a failure or an
 * abort.
 */
export async function underLease<T>(
  backend: Backend,
  options: LeaseOptions,
  work: (leased: Backend, id: string) => Promise<T>,
): Promise<T> {
  const { purpose, emit, untidy = () => false } = options
  const id = `layercast-${purpose}-${Date.now()}-${randomBytes(6).toString('hex')}`
  let result: T
  try {
    // Within: the answer may have been lost with the lease made.
    await create(backend, id, options)
    emit({ type: 'lease', id, step: 'created' })
    result = await work(backend.withLease(id), id)
  } catch (error) {
    // Layers done before an abort are of use to the next run, those below a layer that cannot be made to nobody.
    const sync = !hasCode(error, 'ABORTED') || untidy() || 'cleanup' in error.detail
    throw await cleanUp(error, [{ what: `delete lease ${id}`, run: () => dropLease(backend, id, emit, sync) }])
  }
  try {
    await dropLease(backend, id, emit, untidy())
  } catch (error) {
    // What was asked for is done, and the lease ends by itself: worth a warning, not a failure.
    emit({ type: 'warning', code: 'LEASE_LEFT', detail: `lease ${id} stays until it expires: ${messageOf(error)}` })
  }
  return result
}

async function create(backend: Backend, id: string, options: LeaseOptions): Promise<void> {
  const { expiresInSeconds, signal, emit } = options
  let tries = 0
  await retry(
    async () => {
      tries++
      try {
        await makeLease(backend, { id, ...(expiresInSeconds === undefined ? {} : { expiresInSeconds }) })
      } catch (error) {
        // A first try whose answer was lost has made it.
        if (tries === 1 || !hasCode(error, 'ALREADY_EXISTS')) throw error
      }
    },
    { what: 'create a lease', signal, emit },
  )
}

/** Deletes a lease; that it is gone already is as good. With `sync` the collector has been through afterwards. */
export async function dropLease(backend: Backend, id: string, emit: EmitOperation, sync = false): Promise<void> {
  try {
    await retry(() => backend.leases.delete(id, { sync }), { what: `delete lease ${id}`, emit })
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
  emit({ type: 'lease', id, step: 'deleted' })
}
