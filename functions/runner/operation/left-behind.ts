/** Clears away what killed processes of layercast left on a node: leases, the unfinished snapshots that those hold, mounts. */
import { messageOf } from '../../kit/cleanup.ts'
import { anyMountPlace } from '../../linux/mount-places.ts'
import { heldBy, removeIfThere, statOrNone } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import { hasEnded, PROCESS_LABEL } from '../../node/process-mark.ts'
import type { EmitOperation } from './events.ts'
import { dropLease, isRemovalLease } from './lease.ts'
import { isTemporaryKey } from './snapshot-keys.ts'

/**
 * Clears away what killed processes of this machine left: unmounts what they had mounted, removes the snapshots that they had
 * not committed, and deletes their leases. Every operation that writes calls it at its end, also where it had nothing else to do;
 * not before, because the operation may use the layers that a killed process had done.
 *
 * A failure is the warning LEASE_LEFT: clearing is not what the user asked for, and leases expire by themselves.
 */
export async function dropLeftBehind(backend: Backend, emit: EmitOperation): Promise<void> {
  await clear(backend, emit, (id) => dropLease(backend, id, emit, true))
}

/**
 * Does the same but leaves the leases. For before a removal of snapshots: an unfinished snapshot may stand on what is to be removed,
 * while a lease may hold layers that can still be used. LEASE_LEFT as `dropLeftBehind`.
 */
export async function removeUnfinished(backend: Backend, emit: EmitOperation): Promise<void> {
  await clear(backend, emit, () => Promise.resolve())
}

async function clear(backend: Backend, emit: EmitOperation, end: (lease: string) => Promise<void>): Promise<void> {
  try {
    const dead: string[] = []
    for await (const { id, labels } of backend.leases.list()) {
      const mark = labels[PROCESS_LABEL]
      if (mark !== undefined && hasEnded(mark)) dead.push(id)
    }
    await unmountLeftBehind()
    for (const id of dead) {
      await removeHeldBy(backend, id)
      await end(id)
    }
  } catch (error) {
    const detail = `what killed runs held stays until their leases expire: ${messageOf(error)}`
    emit({ type: 'warning', code: 'LEASE_LEFT', detail })
  }
}

/** Must come before the removal of the views that are mounted. */
async function unmountLeftBehind(): Promise<void> {
  if (!anyMountPlace()) return
  // Imported only where needed: it binds system calls.
  const { recoverMounts } = await import('../../linux/mounted.ts')
  recoverMounts()
}

/**
 * Removes by name the unfinished snapshots that a lease holds. containerd's garbage collector would remove them too, but leave each
 * as a child of its parent in the metadata, and nothing but the collector can remove that parent from then on (chain/removal.ts).
 */
async function removeHeldBy(backend: Backend, lease: string): Promise<void> {
  // The lease of a removal holds snapshots that others made.
  if (isRemovalLease(lease)) return
  for (const { snapshotter: name, key } of await heldBy(backend.leases, lease)) {
    if (!isTemporaryKey(key)) continue
    const snapshotter = backend.snapshotter(name)
    const info = await statOrNone(snapshotter, key)
    if (info !== undefined && info.kind !== 'committed') await removeIfThere(snapshotter, key)
  }
}
