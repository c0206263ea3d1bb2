/** The blobs that a repair takes, which must be there before anything is removed. */
import { hasCode } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { checkAborted } from '../../kit/abort.ts'
import { faultOf } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import { blobsNotFound } from '../blobs/not-found.ts'
import type { Placed } from '../blobs/placed.ts'
import { createBlobProviders, type BlobProviders } from '../blobs/providers.ts'
import type { RepairFindings, RepairOptions } from './types.ts'

/**
 * Replaces the damaged blobs of layers, where the user named sources: also those that this repair does not unpack, since a later one
 * may. A blob that no source has stays as it is; whoever needs it reports that.
 *
 * @returns the digests of those that were replaced
 */
export async function healBlobs({ backend, planned, blobs, signal, onEvent }: RepairOptions): Promise<Digest[]> {
  const { plan } = planned
  const sources = blobs?.sources ?? []
  const healed: Digest[] = []
  if (sources.length === 0) return healed
  const { createHealer } = await import('../blobs/heal.ts')
  const until = signal ?? new AbortController().signal
  const { reference, manifest } = plan
  const healer = createHealer({
    backend,
    reference,
    target: manifest.digest,
    sources,
    signal: until,
    emit: (event) => onEvent?.(event),
  })
  try {
    const unique = new Map(plan.layers.map(({ descriptor }) => [descriptor.digest, descriptor]))
    for (const descriptor of unique.values()) {
      if ((await infoOrNone(backend.content, descriptor.digest)) === undefined) continue
      if ((await faultOf(backend.content, descriptor, until)) === undefined) continue
      try {
        await healer.heal(descriptor)
        healed.push(descriptor.digest)
      } catch (error) {
        if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error
      }
    }
    return healed
  } finally {
    await healer.close()
  }
}

/** Runs `work` with the blob providers that the user allows, and closes them. */
export async function withProviders<T>(
  options: RepairOptions,
  work: (providers: BlobProviders) => Promise<T>,
): Promise<T> {
  const { backend, planned, blobs, signal = new AbortController().signal } = options
  const providers = createBlobProviders({ backend, plan: planned.plan, blobs, signal })
  try {
    return await work(providers)
  } finally {
    await providers.close()
  }
}

/**
 * Looks for the blobs that the repair needs and the node does not have.
 *
 * @returns `toFetch`: layers whose blobs a provider offers; `missing`: the digests of those that none offers, and of the config where it
 * is missing, because the gc label is written on it
 */
export async function findBlobs(
  { planned }: RepairOptions,
  { before, decision }: RepairFindings,
  providers: BlobProviders,
): Promise<{ toFetch: Placed[]; missing: Digest[] }> {
  const { plan } = planned
  const missing = new Set<Digest>()
  if (before.config.problems.some(({ code }) => code === 'CONFIG_MISSING')) missing.add(plan.config.digest)
  const toFetch: Placed[] = []
  for (const index of decision.make) {
    const layer = plan.layers[index]
    if (layer?.blob !== 'required' || (await providers.isInStore(layer.descriptor))) continue
    const placed = { index, layer }
    if (await providers.offerFor(placed)) toFetch.push(placed)
    else missing.add(layer.descriptor.digest)
  }
  return { toFetch, missing: [...missing] }
}

/** Fetches the missing blobs into the content store, under the lease. BLOB_NOT_FOUND, and the error of the last offer. */
export async function fetchBlobs(
  options: RepairOptions,
  found: RepairFindings,
  providers: BlobProviders,
  leased: Backend,
): Promise<void> {
  const { signal = new AbortController().signal } = options
  const { toFetch, missing } = await findBlobs(options, found, providers)
  if (missing.length > 0) throw blobsNotFound(missing, providers.complaints())
  for (const placed of toFetch) {
    checkAborted(signal)
    await fetchOne(placed, providers, leased, signal)
  }
}

async function fetchOne(placed: Placed, providers: BlobProviders, leased: Backend, signal: AbortSignal): Promise<void> {
  for (let offer = await providers.offerFor(placed); offer !== undefined;) {
    // A layer that is made out of another snapshotter's snapshots has no digest yet: the unpack makes it when its turn comes.
    if (offer.blob === undefined) return
    try {
      await offer.fetch(leased, signal)
      return
    } catch (error) {
      offer = await providers.nextOfferFor(placed)
      if (offer === undefined) throw error
    }
  }
}
