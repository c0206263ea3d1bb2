/** What a port has under a name, or undefined where it has nothing; and removals to which "it is gone already" is success. */
import { hasCode, type Code } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { retry } from '../kit/retry.ts'
import type {
  ContentInfo,
  ContentStore,
  HeldSnapshot,
  ImageRecord,
  ImageStore,
  Leases,
  SnapshotInfo,
  Snapshotter,
} from './ports.ts'

/** The snapshot, or undefined where there is none of this name. */
export async function statOrNone(snapshotter: Snapshotter, key: string): Promise<SnapshotInfo | undefined> {
  return await orNone('SNAPSHOT_NOT_FOUND', () => snapshotter.stat(key))
}

/** The blob, or undefined where the store has none of this digest. */
export async function infoOrNone(
  content: Pick<ContentStore, 'info'>,
  digest: Digest,
): Promise<ContentInfo | undefined> {
  return await orNone('BLOB_NOT_FOUND', () => content.info(digest))
}

/** Removes the snapshot, unless it is gone already. */
export async function removeIfThere(snapshotter: Snapshotter, key: string): Promise<void> {
  await orNone('SNAPSHOT_NOT_FOUND', () => retry(() => snapshotter.remove(key), { what: `remove snapshot ${key}` }))
}

/** Removes the blob, unless it is gone already. */
export async function removeBlobIfThere(content: Pick<ContentStore, 'remove'>, digest: Digest): Promise<void> {
  await orNone('BLOB_NOT_FOUND', () => content.remove(digest))
}

/** Deletes the lease, unless it is gone already. */
export async function deleteLeaseIfThere(
  leases: Pick<Leases, 'delete'>,
  id: string,
  options?: { sync?: boolean },
): Promise<void> {
  await orNone('NOT_FOUND', () => leases.delete(id, options))
}

/** The snapshots that a lease holds; none where the lease is gone. */
export async function heldBy(leases: Pick<Leases, 'held'>, id: string): Promise<HeldSnapshot[]> {
  return (await orNone('NOT_FOUND', () => leases.held(id))) ?? []
}

/** The record of this name, or undefined where there is none. */
export async function recordOrNone(images: Pick<ImageStore, 'get'>, name: string): Promise<ImageRecord | undefined> {
  return await orNone('IMAGE_NOT_FOUND', () => images.get(name))
}

async function orNone<T>(code: Code, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (hasCode(error, code)) return undefined
    throw error
  }
}
