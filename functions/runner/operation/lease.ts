/** The lease of an operation: what the operation makes is safe from the garbage collector until the operation ends. */
import { randomBytes } from 'node:crypto'
import { hasCode } from '../../errors.ts'
import { cleanUp, messageOf } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { createMarkedLease } from '../../node/marked-lease.ts'
import { deleteLeaseIfThere } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import type { EmitOperation } from './events.ts'

export interface LeaseOptions {
  /** One word for the lease's ID, such as `unpack`. */
  purpose: string
  /** A day by default. */
  expiresInSeconds?: number | undefined
  signal: AbortSignal
  emit: EmitOperation
  /**
   * Asked when the work has ended: whether to wait until the garbage collector has removed what only this lease held. By
   * default only after a failure.
   */
  collect?: (() => boolean) | undefined
}

/** The purpose of the lease under which snapshots are removed. It holds what others made. */
const REMOVE = 'remove'
/** Whether a lease is one of `removalLease`. */
export function isRemovalLease(id: string): boolean {
  return id.startsWith(`layercast-${REMOVE}-`)
}

/**
 * The lease for a removal of snapshots. The garbage collector runs when it ends: then it removes what containerd has only struck
 * off its metadata, and what `removeHeld` left to it.
 */
export function removalLease(options: Pick<LeaseOptions, 'expiresInSeconds' | 'signal' | 'emit'>): LeaseOptions {
  return { ...options, purpose: REMOVE, collect: () => true }
}

/**
 * Runs `work` over a backend that puts all that it makes under a new lease. The lease is deleted at the end, also after a failure
 * or an abort. Where that fails after the work has succeeded, the warning LEASE_LEFT says so.
 */
export async function underLease<T>(
  backend: Backend,
  options: LeaseOptions,
  work: (leased: Backend, id: string) => Promise<T>,
): Promise<T> {
  const { purpose, emit, collect = () => false } = options
  const id = `layercast-${purpose}-${Date.now()}-${randomBytes(6).toString('hex')}`
  let result: T
  try {
    // Within the try: a lease may have been made though its answer was lost.
    await create(backend, id, options)
    emit({ type: 'lease', id, step: 'created' })
    result = await work(backend.withLease(id), id)
  } catch (error) {
    // After an abort the next run can use the layers that are done, so they need not be collected now. After a failure they
    // are collected: nothing can be built on them.
    const sync = !hasCode(error, 'ABORTED') || collect() || 'cleanup' in error.detail
    throw await cleanUp(error, [{ what: `delete lease ${id}`, run: () => dropLease(backend, id, emit, sync) }])
  }
  try {
    await dropLease(backend, id, emit, collect())
  } catch (error) {
    // The work is done, and the lease expires by itself.
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
        await createMarkedLease(backend, { id, expiresInSeconds })
      } catch (error) {
        // The first try may have made it, though its answer was lost.
        if (tries === 1 || !hasCode(error, 'ALREADY_EXISTS')) throw error
      }
    },
    { what: 'create a lease', signal, emit },
  )
}

/**
 * Deletes a lease. One that is gone already is no error. With `sync` it returns when the garbage collector has removed what only
 * this lease held.
 */
export async function dropLease(backend: Backend, id: string, emit: EmitOperation, sync = false): Promise<void> {
  await retry(() => deleteLeaseIfThere(backend.leases, id, { sync }), { what: `delete lease ${id}`, emit })
  emit({ type: 'lease', id, step: 'deleted' })
}
