/** The look at the node before an unpack touches anything. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { infoOrNone, statOrNone } from '../../node/or-none.ts'
import type { Backend, ContentInfo, SnapshotInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { blobsNotFound } from '../blobs/not-found.ts'
import type { Placed } from '../blobs/placed.ts'
import { createBlobProviders, type BlobProviders, type BlobProvidersOptions } from '../blobs/providers.ts'
import type { BlobOffer } from '../blobs/types.ts'
import { hasGcLabel } from '../chain/gc-label.ts'
import { checkRequiredLabels } from '../chain/required-labels.ts'
import { chainIDsOf, countPresent } from '../chain/snapshots.ts'

export interface Preflight {
  /** How many layers of the chain are there, from the base up. */
  present: number
  /** The highest layer that is there. */
  top: SnapshotInfo | undefined
  config: ContentInfo
  /** The layers whose blobs are required and missing, each with the offer by which it will come. */
  toFetch: { placed: Placed; offer: BlobOffer }[]
}

/**
 * Finds what there is, and everything that can be known to be wrong before anything is touched: PLAN_LABEL_REQUIRED,
 * SNAPSHOTTER_NOT_FOUND, and BLOB_NOT_FOUND with every blob that is missing and that no provider offers. The config's blob is
 * required too, because the gc label is written on it.
 */
export async function preflight(backend: Backend, plan: Plan, providers: BlobProviders): Promise<Preflight> {
  checkRequiredLabels(plan)
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const { present, top } = await countPresent(snapshotter, chainIDsOf(plan))
  const config = await infoOrNone(backend.content, plan.config.digest)
  const missing = await missingBlobs(providers, plan, present)
  const found = await Promise.all(missing.map(async (placed) => ({ placed, offer: await providers.offerFor(placed) })))
  const absent: Digest[] = config === undefined ? [plan.config.digest] : []
  const toFetch: Preflight['toFetch'] = []
  for (const { placed, offer } of found) {
    if (offer === undefined) absent.push(placed.layer.descriptor.digest)
    else toFetch.push({ placed, offer })
  }
  if (config === undefined || absent.length > 0) throw blobsNotFound(absent, providers.complaints())
  return { present, top, config, toFetch }
}

/**
 * What is known to be wrong whatever blobs the node has, for a caller that imports them first: SNAPSHOTTER_NOT_FOUND,
 * SNAPSHOTTER_NOT_READY; of the blob providers SOURCE_INVALID, USAGE and TREE_NOT_ON_NODE.
 */
export async function checkPlace(options: BlobProvidersOptions): Promise<void> {
  const { backend, plan } = options
  await createBlobProviders(options).close()
  const [base] = plan.layers
  // Any call asks the snapshotter; what it says of the layer does not matter here.
  if (base !== undefined) await statOrNone(backend.snapshotter(plan.snapshotter), base.chainID)
}

/** Whether there is nothing to do: the whole chain is there, and the image refers to it. */
export function isReady({ present, top, config }: Preflight, plan: Plan): boolean {
  // containerd before 2.2 ignores the parent of a Commit: the check at the end has to see a top on another parent.
  const isWhole = present === plan.layers.length && top?.parent === plan.layers.at(-1)?.parent
  return isWhole && hasGcLabel(config, plan)
}

/** The layers from index `present` up that cannot be made without their blob, and whose blob is not there. */
async function missingBlobs(providers: BlobProviders, plan: Plan, present: number): Promise<Placed[]> {
  const known = new Map<Digest, Promise<boolean>>()
  const there = (descriptor: Descriptor) => {
    const asked = known.get(descriptor.digest) ?? providers.isInStore(descriptor)
    known.set(descriptor.digest, asked)
    return asked
  }
  const required = plan.layers
    .map((layer, index) => ({ index, layer }))
    .filter(({ index, layer }) => index >= present && layer.blob === 'required')
  const found = await Promise.all(required.map(({ layer }) => there(layer.descriptor)))
  return required.filter((_, index) => !found[index])
}
