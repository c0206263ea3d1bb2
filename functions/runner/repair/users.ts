/** Who stands on snapshots that are to be removed. */
import { LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT } from '../../image/label-names.ts'
import type { Backend, ContentInfo, SnapshotInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { gcLabel } from '../chain/gc-label.ts'
import { isLeftover } from '../chain/leftovers.ts'
import { chainIDsOf } from '../chain/snapshots.ts'

export type SnapshotUser =
  | { what: 'container'; name: string; snapshot: string }
  /** An image, by every name it has; by its config's digest where it has none. */
  | { what: 'image'; name: string; snapshot: string }
  /** An unpack that is at work on the chain, or was killed a short while ago. */
  | { what: 'unpack'; name: string; snapshot: string }
  /** A snapshot of someone else's. */
  | { what: 'snapshot'; name: string; snapshot: string }

export interface UsersOptions {
  backend: Backend
  plan: Plan
  /** The snapshots that are to be removed. */
  removed: ReadonlySet<string>
  /** An unpacker's active snapshot of before this time, in milliseconds since 1970, is nobody's any more. */
  staleBefore: number
}

export interface Users {
  users: SnapshotUser[]
  /** Active snapshots on the removed ones that a killed unpacker left: they go too. */
  leftovers: string[]
}

/**
 * The containers, other images and snapshots that stand on the removed ones, each once with the removed snapshot nearest
 * to it. CONTAINERD_*.
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
    // Only what stands directly on them: what stands on that in turn is its affair.
    if (!removed.has(info.parent) || removed.has(info.name) || seen.has(info.name)) continue
    const snapshot = info.parent
    if (!isLeftover(info, chainIDs)) {
      // A layer of an image that is named already says nothing more.
      if (!(info.kind === 'committed' && covered.has(snapshot)))
        users.push({ what: 'snapshot', name: info.name, snapshot })
    } else if (info.updatedAt.getTime() < staleBefore) leftovers.push(info.name)
    else users.push({ what: 'unpack', name: info.name, snapshot })
  }
  return { users, leftovers }
}

/** The removed snapshot that a snapshot is or stands on. */
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

/** Images whose config refers to a chain that goes through a removed snapshot. */
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

/** A blob and all that its gc labels lead to. */
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

/** SNAPSHOT_IN_USE, naming everyone. */
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
