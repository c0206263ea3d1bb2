/** The tree of a committed snapshot, mounted read-only while it is compared. */
import { LayercastError } from '../../errors.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { withMounted } from '../../linux/mounted.ts'
import { removeIfThere } from '../../node/or-none.ts'
import type { Backend, Snapshotter } from '../../node/ports.ts'
import type { EmitOperation } from '../operation/events.ts'
import { underLease } from '../operation/lease.ts'
import { viewKey } from '../operation/snapshot-keys.ts'
import { lostIn, lostSnapshot, saysLost } from './lost-directory.ts'

export interface MountedSnapshotOptions {
  backend: Backend
  snapshotter: string
  /** The committed snapshot to show. */
  name: string
  signal: AbortSignal
  /** Takes the events of the lease that holds the view. */
  emit: EmitOperation
}

/**
 * Runs `look` over a directory that shows the snapshot, read-only. Where the snapshotter can show it without a view (`peek`), no
 * view is made. Otherwise view, mount and lease are removed afterwards, whatever happens; what a killed process left of them is
 * removed by the next operation (`dropLeftBehind`).
 *
 * Errors: SNAPSHOT_NOT_FOUND (`lostOf` tells whether the directory alone is gone), SYSTEM_CALL_FAILED, FAILED_PRECONDITION for
 * mounts that only containerd can make, and those of `look`.
 */
export async function withMountedSnapshot<T>(
  options: MountedSnapshotOptions,
  look: (directory: string) => Promise<T>,
): Promise<T> {
  const { backend, name, signal, emit } = options
  const snapshots = backend.snapshotter(options.snapshotter)
  const peeked = await snapshots.peek?.(name)
  if (peeked !== undefined) return await withPeek(snapshots, name, peeked, look)
  return await underLease(backend, { purpose: 'verify', signal, emit }, async (leased) => {
    const snapshotter = leased.snapshotter(options.snapshotter)
    const key = viewKey('verify', name)
    const remove = { what: `remove snapshot ${key}`, run: () => removeIfThere(snapshotter, key) }
    let result: T
    try {
      result = await withMounted(await viewOf(snapshotter, key, name), look)
    } catch (error) {
      throw await cleanUp(error, [remove])
    }
    await remove.run()
    return result
  })
}

/**
 * Nothing keeps a snapshot during a peek, so the result counts only if the snapshot is still the same afterwards.
 * SNAPSHOT_NOT_FOUND otherwise.
 */
async function withPeek<T>(
  snapshotter: Snapshotter,
  name: string,
  mounts: readonly Mount[],
  look: (directory: string) => Promise<T>,
): Promise<T> {
  const outcome = await withMounted(mounts, look).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  const after = await snapshotter.peek?.(name)
  if (JSON.stringify(after) !== JSON.stringify(mounts)) {
    throw new LayercastError('SNAPSHOT_NOT_FOUND', `snapshot ${name} was made again while it was looked at`, {
      fix: 'Run the same command again.',
      detail: { snapshotter: snapshotter.name, snapshot: name },
    })
  }
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

async function viewOf(snapshotter: Snapshotter, key: string, name: string): Promise<Mount[]> {
  let mounts: Mount[]
  try {
    mounts = await snapshotter.view(key, name, {})
  } catch (error) {
    throw saysLost(error) ? lostSnapshot(snapshotter.name, name, { below: 0 }, error) : error
  }
  const lost = lostIn(mounts)
  if (lost !== undefined) throw lostSnapshot(snapshotter.name, name, lost)
  return mounts
}
