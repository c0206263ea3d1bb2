/** Who uses snapshots that are to be removed. */
import { LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT } from '../../image/label-names.ts'
import type { Backend, ContentInfo, SnapshotInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { gcLabel } from '../chain/gc-label.ts'
import { isLeftover } from '../chain/leftovers.ts'
import { chainIDsOf } from '../chain/snapshots.ts'

export interface SnapshotUser {
  /**
   * - `container`
   * - `image`: another image that has the same layers; `name` has all its names, or the digest of its config
   * - `unpack`: an unpack that works on the chain, or was killed a short while ago; `name` is the key of its snapshot
   * - `snapshot`: any other snapshot
   */
  what: 'container' | 'image' | 'unpack' | 'snapshot'
  name: string
  /** The snapshot that is used. */
  snapshot: string
}

export interface UsersOptions {
  backend: Backend
  plan: Plan
  /** The snapshots that are to be removed. */
  removed: ReadonlySet<string>
  /** An unpacker's active snapshot that is older than this (milliseconds since 1970) was left by an unpacker that was killed. */
  staleBefore: number
}

export interface Users {
  users: SnapshotUser[]
  /** Active snapshots on the removed ones that killed unpackers left. They are removed too. */
  leftovers: string[]
}

/**
 * The containers, other images and snapshots that use a removed snapshot or one above it: each once, with the removed snapshot that is
 * nearest to it. CONTAINERD_*.
 */
export async function usersOf({ backend, plan, removed, staleBefore }: UsersOptions): Promise<Users> {
  const byName = new Map<string, SnapshotInfo>()
  for await (const info of backend.snapshotter(plan.snapshotter).list()) byName.set(info.name, info)
  const users: SnapshotUser[] = []
  const seen = new Set<string>()

  if (backend.containers !== undefined) {
    for await (const { id, snapshotter, snapshotKey } of backend.containers()) {
      if (snapshotter !== plan.snapshotter) continue
      seen.add(snapshotKey)
      const snapshot = nearest(snapshotKey, byName, removed)
      if (snapshot !== undefined) users.push({ what: 'container', name: id, snapshot })
    }
  }
  users.push(...(await imagesOn(backend, plan, byName, removed)))
  const chainIDs = new Set<string>(chainIDsOf(plan))
  const covered = new Set(users.map(({ snapshot }) => snapshot))
  const leftovers: string[] = []
  for (const info of byName.values()) {
    // Only direct children: what is above a child is the child's concern.
    if (!removed.has(info.parent) || removed.has(info.name) || seen.has(info.name)) continue
    const snapshot = info.parent
    if (!isLeftover(info, chainIDs)) {
      // A committed child may be a layer of an image that is in the list already.
      if (!(info.kind === 'committed' && covered.has(snapshot)))
        users.push({ what: 'snapshot', name: info.name, snapshot })
    } else if (info.updatedAt.getTime() < staleBefore) leftovers.push(info.name)
    else users.push({ what: 'unpack', name: info.name, snapshot })
  }
  return { users, leftovers }
}

/** The removed snapshot that is this snapshot, or the nearest one below it. */
function nearest(
  name: string,
  byName: ReadonlyMap<string, SnapshotInfo>,
  removed: ReadonlySet<string>,
): string | undefined {
  const passed = new Set<string>()
  for (let at = name; at !== '' && !passed.has(at); at = byName.get(at)?.parent ?? '') {
    if (removed.has(at)) return at
    passed.add(at)
  }
  return undefined
}

/** The other images with a config whose gc label names a removed snapshot, or one above it. */
async function imagesOn(
  backend: Backend,
  plan: Plan,
  byName: ReadonlyMap<string, SnapshotInfo>,
  removed: ReadonlySet<string>,
): Promise<SnapshotUser[]> {
  const key = gcLabel(plan.snapshotter)
  const blobs = new Map<string, ContentInfo>()
  for await (const info of backend.content.list()) blobs.set(info.digest, info)
  const configs = new Map<Digest, string>()
  for (const { digest, labels } of blobs.values()) {
    const top = labels[key]
    const snapshot = top && digest !== plan.config.digest ? nearest(top, byName, removed) : undefined
    if (snapshot !== undefined) configs.set(digest, snapshot)
  }
  if (configs.size === 0) return []
  const names = new Map<string, string[]>()
  for await (const { name, target } of backend.images.list()) {
    for (const digest of below(target.digest, blobs)) {
      if (configs.has(digest as Digest)) names.set(digest, [...(names.get(digest) ?? []), name])
    }
  }
  return [...configs].map(([digest, snapshot]) => ({
    what: 'image',
    name: names.get(digest)?.join(', ') ?? `config ${digest}`,
    snapshot,
  }))
}

/** The digests of a blob and of all blobs to which its gc labels lead. */
function below(digest: string, blobs: ReadonlyMap<string, ContentInfo>): Set<string> {
  const found = new Set<string>()
  const pending = [digest]
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (found.has(at)) continue
    found.add(at)
    for (const [key, value] of Object.entries(blobs.get(at)?.labels ?? {})) {
      if (key.startsWith(GC_REF_CONTENT)) pending.push(value)
    }
  }
  return found
}

const FIXES: Record<SnapshotUser['what'], string> = {
  container: 'Remove the containers (delete their pods, and cordon the node first so that no new ones come)',
  image: 'Remove the other images, or repair when they are gone',
  unpack: 'Wait for the unpack to end',
  snapshot: "Remove the other snapshots ('layercast snapshot tree' shows them)",
}

/** SNAPSHOT_IN_USE. The message names up to ten users, the detail all. */
export function inUse(plan: Plan, removed: number, users: readonly SnapshotUser[]): LayercastError {
  const names = users.map(({ what, name }) => `${what} ${name}`)
  const shown = names.length > 10 ? [...names.slice(0, 10), `${names.length - 10} more`] : names
  const fixes = [...new Set(users.map(({ what }) => FIXES[what]))]
  return new LayercastError(
    'SNAPSHOT_IN_USE',
    `${removed} of ${plan.layers.length} snapshots under ${plan.snapshotter} must be made again, and are in use by ${shown.join('; ')}`,
    {
      fix: `${fixes.join('; ')}; then run again. Nothing was changed.`,
      detail: { snapshotter: plan.snapshotter, users },
    },
  )
}
