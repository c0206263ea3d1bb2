import { randomBytes } from 'node:crypto'
import { hasCode, LayercastError } from '../image/errors.ts'
import type { Backend, Snapshotter } from './ports.ts'
import { cleanUp } from './unpack/cleanup.ts'

const HOLD_SECONDS = 10 * 60

/**
 * Removes snapshots, given from the top down; what is gone already is passed over.
 *
 * A lease holds them meanwhile. Without it containerd's collector takes what is below a removed snapshot, and leaves its
 * name in the books as a child of the one further below, which nobody can remove from then on (containerd's issue 11908,
 * in every version): only the collector can, once nothing refers to it.
 *
 * FAILED_PRECONDITION where a snapshot has a child that is not among these, or such a ghost of one.
 */
export async function removeSnapshots(
  backend: Backend,
  snapshotter: Snapshotter,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const id = `layercast-remove-${Date.now()}-${randomBytes(6).toString('hex')}`
  await backend.leases.create({ id, expiresInSeconds: HOLD_SECONDS })
  try {
    await backend.leases.hold(id, snapshotter.name, names)
    for (const name of names) {
      signal.throwIfAborted()
      await remove(snapshotter, name)
    }
  } catch (error) {
    throw await cleanUp(error, [{ what: `delete lease ${id}`, run: () => backend.leases.delete(id) }])
  }
  // containerd has the snapshotter remove them later: until then a remote one answers a Prepare with what it had before.
  await backend.leases.delete(id, { sync: true })
}

async function remove(snapshotter: Snapshotter, name: string): Promise<void> {
  try {
    await snapshotter.remove(name)
  } catch (error) {
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return
    if (!hasCode(error, 'FAILED_PRECONDITION') || (await hasChild(snapshotter, name))) throw error
    throw new LayercastError(
      'FAILED_PRECONDITION',
      `snapshot ${name} of ${snapshotter.name} has a child in containerd's books that is not there any more`,
      {
        cause: error,
        fix: 'Remove what refers to it (the image, its containers): then the garbage collector takes it.',
        detail: { snapshotter: snapshotter.name, snapshot: name },
      },
    )
  }
}

async function hasChild(snapshotter: Snapshotter, name: string): Promise<boolean> {
  for await (const info of snapshotter.list()) if (info.parent === name) return true
  return false
}
