import { randomBytes } from 'node:crypto'
import { hasCode } from '../../image/errors.ts'
import type { Backend } from '../ports.ts'
import { cleanUp, messageOf } from './cleanup.ts'
import { isLeftBehind, OWNER_LABEL, ownerMark } from './owner.ts'
import { retry } from './retry.ts'
import type { Emit } from './types.ts'

/** Long enough for any image; containerd's own default. */
const EXPIRES_IN_SECONDS = 24 * 60 * 60

export interface LeaseOptions {
  /** What for, in the lease's id and in no other place. */
  purpose: string
  signal: AbortSignal
  emit: Emit
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
  work: (leased: Backend) => Promise<T>,
): Promise<T> {
  const { purpose, signal, emit, untidy = () => false } = options
  const id = `layercast-${purpose}-${Date.now()}-${randomBytes(6).toString('hex')}`
  let result: T
  try {
    // Within: the answer may have been lost with the lease made.
    await create(backend, id, signal, emit)
    emit({ type: 'lease', id, step: 'created' })
    result = await work(backend.withLease(id))
  } catch (error) {
    // Layers done before an abort are of use to the next run, those below a layer that cannot be made to nobody.
    const sync = !hasCode(error, 'ABORTED') || untidy() || 'cleanup' in error.detail
    throw await cleanUp(error, [{ what: `delete lease ${id}`, run: () => drop(backend, id, emit, sync) }])
  }
  try {
    await drop(backend, id, emit, untidy())
  } catch (error) {
    // What was asked for is done, and the lease ends by itself: worth a warning, not a failure.
    emit({ type: 'warning', code: 'LEASE_LEFT', detail: `lease ${id} stays until it expires: ${messageOf(error)}` })
  }
  return result
}

async function create(backend: Backend, id: string, signal: AbortSignal, emit: Emit): Promise<void> {
  const mark = await ownerMark()
  let tries = 0
  await retry(
    async () => {
      tries++
      try {
        await backend.leases.create({
          id,
          expiresInSeconds: EXPIRES_IN_SECONDS,
          labels: mark === undefined ? {} : { [OWNER_LABEL]: mark },
        })
      } catch (error) {
        // A first try whose answer was lost has made it.
        if (tries === 1 || !hasCode(error, 'ALREADY_EXISTS')) throw error
      }
    },
    { what: 'create a lease', signal, emit },
  )
}

async function drop(backend: Backend, id: string, emit: Emit, sync = false): Promise<void> {
  try {
    await retry(() => backend.leases.delete(id, { sync }), { what: `delete lease ${id}`, emit })
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
  emit({ type: 'lease', id, step: 'deleted' })
}

/**
 * Deletes the leases of runners of this machine that were killed, so that the garbage collector takes what they left half
 * done, and not only when 24 hours have passed. For the end of a run: until then what they had done may be of use.
 */
export async function dropLeftBehind(backend: Backend, emit: Emit): Promise<void> {
  try {
    for await (const { id, labels } of backend.leases.list()) {
      const mark = labels[OWNER_LABEL]
      if (mark !== undefined && (await isLeftBehind(mark))) await drop(backend, id, emit, true)
    }
  } catch (error) {
    // It is not what was asked for, and the leases end by themselves: worth a warning, not a failure.
    const detail = `leases of killed runs stay until they expire: ${messageOf(error)}`
    emit({ type: 'warning', code: 'LEASE_LEFT', detail })
  }
}
