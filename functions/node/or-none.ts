/** What a port has under a name, or undefined where it has nothing: "not there" as an answer and not as an error. */
import { hasCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { retry } from '../kit/retry.ts'
import type { ContentInfo, ContentStore, SnapshotInfo, Snapshotter } from './ports.ts'

/** The snapshot, or undefined where there is none of this name. */
export async function statOrNone(snapshotter: Snapshotter, key: string): Promise<SnapshotInfo | undefined> {
  try {
    return await snapshotter.stat(key)
  } catch (error) {
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return undefined
    throw error
  }
}

/** Removes the snapshot; that it is gone already is as good. */
export async function removeIfThere(snapshotter: Snapshotter, key: string): Promise<void> {
  try {
    await retry(() => snapshotter.remove(key), { what: `remove snapshot ${key}` })
  } catch (error) {
    if (!hasCode(error, 'SNAPSHOT_NOT_FOUND')) throw error
  }
}

/** What the store says of the blob; undefined where it does not list it. */
export async function infoOrNone(
  content: Pick<ContentStore, 'info'>,
  digest: Digest,
): Promise<ContentInfo | undefined> {
  try {
    return await content.info(digest)
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined
    throw error
  }
}
