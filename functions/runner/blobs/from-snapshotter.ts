/** The provider over another snapshotter: layers are made again from the image's snapshots there. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { once } from '../../kit/once.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { removeIfThere } from '../../node/or-none.ts'
import type { Backend, SnapshotInfo, Snapshotter } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { inferProfile } from '../../plan/profiles.ts'
import { snapshotsOf } from '../chain/snapshots.ts'
import { viewKey } from '../operation/snapshot-keys.ts'
import { isArchive } from './blob.ts'
import type { Placed } from './placed.ts'
import type { Complain, BlobProvider } from './types.ts'

/** Uncompressed, so that its digest is its diff ID. The blob goes with the lease, so its size matters little. */
const REBUILT = 'application/vnd.oci.image.layer.v1.tar'

interface SnapshotterProviderOptions {
  backend: Backend
  plan: Plan
  /** The snapshotter that has the image unpacked. */
  from: string
  complain: Complain
}

/**
 * A layer is the difference between its snapshot and its parent's, written by containerd's diff service, or by layercast's
 * own walk where that service cannot mount the snapshots. Such a layer fills a snapshot just as well, but is another blob
 * than the image's. Offered where the chain up to the layer is there, committed, each snapshot on its parent; anything else
 * is complained of. USAGE where the backend has no differ: the embedded one has no second snapshotter either.
 */
export function snapshotterProvider(options: SnapshotterProviderOptions): BlobProvider {
  const { backend, plan, from, complain } = options
  checkPossible(options)
  const look = once(() => lookAtChain(backend.snapshotter(from), plan))
  return {
    async offers(placed) {
      if (!isArchive(placed.layer.descriptor)) return []
      const { right, why } = await look()
      if (placed.index >= right) {
        complain(`${from} has not what layer ${placed.layer.descriptor.digest} could be made of: ${why}`)
        return []
      }
      const fetch = (into: Backend, signal: AbortSignal) => rebuild(into, from, placed, signal)
      return [{ origin: { from: 'snapshotter', name: from }, blob: undefined, fetch }]
    },
  }
}

function checkPossible({ backend, plan, from }: SnapshotterProviderOptions): void {
  if (backend.differ === undefined) {
    throw new LayercastError('USAGE', `the ${backend.kind} backend cannot make layers out of snapshots`, {
      fix: 'Leave --from-snapshotter away, and name a source of the blobs: --source oci:DIR.',
    })
  }
  const profile = inferProfile(from, [])
  if (profile.content !== 'guest') return
  throw new LayercastError('TREE_NOT_ON_NODE', `${from} keeps no tree on the node that layers could be made of`, {
    fix: 'Name a snapshotter that unpacks layers here, such as overlayfs.',
    detail: { snapshotter: from, profile: profile.name, plan: plan.reference },
  })
}

/** How many layers from the base up are right, and what is wrong with the next one. */
async function lookAtChain(snapshotter: Snapshotter, plan: Plan): Promise<{ right: number; why: string }> {
  const infos = await snapshotsOf(snapshotter, plan)
  for (const [index, { chainID, parent }] of plan.layers.entries()) {
    const why = faultIn(infos[index], chainID, parent)
    if (why !== undefined) return { right: index, why }
  }
  return { right: plan.layers.length, why: '' }
}

function faultIn(info: SnapshotInfo | undefined, chainID: string, parent: string): string | undefined {
  if (info === undefined) return `its snapshot ${chainID} is not there`
  if (info.kind !== 'committed') return `its snapshot ${chainID} is ${info.kind}`
  return info.parent === parent ? undefined : `its snapshot ${chainID} stands on "${info.parent}"`
}

/** Makes the layer again and leaves it in the content store of `into`. The views that it needs are removed, also after a failure. */
async function rebuild(into: Backend, from: string, { layer }: Placed, signal: AbortSignal): Promise<Descriptor> {
  const snapshotter = into.snapshotter(from)
  const { differ } = into
  const keys = { lower: viewKey('diff', layer.parent), upper: viewKey('diff', layer.chainID) }
  const steps = Object.values(keys).map((key) => ({
    what: `remove snapshot ${key}`,
    run: () => removeIfThere(snapshotter, key),
  }))
  const options = { mediaType: REBUILT, signal }
  let blob: Descriptor
  try {
    const upper = await snapshotter.view(keys.upper, layer.chainID, {})
    if (differ !== undefined && isForDiffService(upper)) {
      const lower = await snapshotter.view(keys.lower, layer.parent, {})
      blob = await differ.diff(lower, upper, options)
    } else {
      const lower = layer.parent === '' ? undefined : await snapshotter.view(keys.lower, layer.parent, {})
      // Loaded on demand: it binds system calls.
      const { diffLayer } = await import('../../layer/diff/diff.ts')
      blob = await diffLayer(into.content, lower, upper, options)
    }
  } catch (error) {
    throw await cleanUp(explain(error, from, layer.descriptor), steps)
  }
  for (const step of steps) await step.run()
  return blob
}

/** The diff service cannot mount erofs: its mounts are templates (`format/overlay`) for the mount manager. */
function isForDiffService(mounts: readonly Mount[]): boolean {
  return mounts.every(({ type }) => !type.includes('/'))
}

/** A snapshot that vanished since the look means a missing blob, and not a gap in the chain that is being made. */
function explain(error: unknown, from: string, { digest }: Descriptor): unknown {
  if (!hasCode(error, 'SNAPSHOT_NOT_FOUND')) return error
  return new LayercastError('BLOB_NOT_FOUND', `layer ${digest} cannot be made again: ${from} has lost its snapshot`, {
    cause: error,
    fix: 'Run again; name a source of the blob (--source oci:DIR) where the snapshots do not last.',
    detail: { digests: [digest] },
  })
}
