/** What processes of layercast left that were killed: leases, what those hold half done, mounts. */
import { hasCode } from '../../errors.ts'
import { messageOf } from '../../kit/cleanup.ts'
import { anyMountPlace } from '../../linux/mount-places.ts'
import { removeIfThere, statOrNone } from '../../node/or-none.ts'
import type { Backend, HeldSnapshot } from '../../node/ports.ts'
import { isLeftBehind, OWNER_LABEL } from '../../node/process-mark.ts'
import type { EmitOperation } from './events.ts'
import { dropLease, REMOVAL } from './lease.ts'

/** What a run makes, and removes before its lease ends: views and active snapshots, by their keys. */
const MADE = /^(?:extract-|layercast-)/

/**
 * Lets go what killed processes of this machine held: unmounts what they had mounted, removes the snapshots that they had
 * not committed, and deletes their leases. For the end of every run that writes, also where it had nothing else to do:
 * until then what they had done may be of use. It is not what was asked for, and leases end by themselves: a failure is a
 * warning, LEASE_LEFT.
 */
export async function dropLeftBehind(backend: Backend, emit: EmitOperation): Promise<void> {
  await clear(backend, emit, (id) => dropLease(backend, id, emit, true))
}

/**
 * Removes what killed processes had not committed, and may stand on what is to be removed, but leaves their leases: those
 * may hold what is of use, or was asked for. LEASE_LEFT as `dropLeftBehind`.
 */
export async function removeUnfinished(backend: Backend, emit: EmitOperation): Promise<void> {
  await clear(backend, emit, () => Promise.resolve())
}

async function clear(backend: Backend, emit: EmitOperation, end: (lease: string) => Promise<void>): Promise<void> {
  try {
    const dead: string[] = []
    for await (const { id, labels } of backend.leases.list()) {
      const mark = labels[OWNER_LABEL]
      if (mark !== undefined && (await isLeftBehind(mark))) dead.push(id)
    }
    await unmountLeft()
    for (const id of dead) {
      await removeHeldOnly(backend, id)
      await end(id)
    }
  } catch (error) {
    const detail = `what killed runs held stays until their leases expire: ${messageOf(error)}`
    emit({ type: 'warning', code: 'LEASE_LEFT', detail })
  }
}

/** Before the views that were mounted are removed. */
async function unmountLeft(): Promise<void> {
  if (!anyMountPlace()) return
  // Loaded when asked for: it binds system calls.
  const { recoverMounts } = await import('../../linux/mounted.ts')
  recoverMounts()
}

/**
 * Removes by name what the lease alone held. containerd's collector would take it too, and leave its name in the books as a
 * child of the snapshot below, which nobody could remove from then on.
 */
async function removeHeldOnly(backend: Backend, lease: string): Promise<void> {
  // What a removal held was not made by it.
  if (lease.startsWith(`layercast-${REMOVAL}-`)) return
  for (const { snapshotter: name, key } of await heldBy(backend, lease)) {
    if (!MADE.test(key)) continue
    const snapshotter = backend.snapshotter(name)
    const info = await statOrNone(snapshotter, key)
    if (info !== undefined && info.kind !== 'committed') await removeIfThere(snapshotter, key)
  }
}

/** The snapshots that a lease holds; none where it is gone. */
export async function heldBy(backend: Backend, lease: string): Promise<HeldSnapshot[]> {
  try {
    return await backend.leases.held(lease)
  } catch (error) {
    // Another run was first.
    if (hasCode(error, 'NOT_FOUND')) return []
    throw error
  }
}
