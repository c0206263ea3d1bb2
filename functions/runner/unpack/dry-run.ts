/** What an unpack would do, found without touching anything. */
import type { Digest } from '../../image/digest.ts'
import { hasBytes } from '../../node/blob-fault.ts'
import { infoOrNone, statOrNone } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import type { BlobNeed, Plan } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import type { BlobOrigin } from '../blobs/origin.ts'
import { createBlobProviders, type BlobProviders } from '../blobs/providers.ts'
import type { BlobProviderOptions } from '../blobs/types.ts'
import { hasGcLabel } from '../chain/gc-label.ts'
import { compareLabels, isSame, type LabelDifference } from '../chain/labels.ts'

export interface DryRunLayer {
  index: number
  digest: Digest
  chainID: Digest
  /** There with the plan's labels, there with other labels (which an unpack does not change), or not there. */
  snapshot: 'exists' | 'differs' | 'missing'
  /** What differs; only where `snapshot` is `differs`. */
  difference?: LabelDifference
  /** `origin` is absent where the blob is not there and is not needed, or nobody offers it. */
  blob: { need: BlobNeed; there: boolean; origin?: BlobOrigin }
}

export interface DryRun {
  layers: DryRunLayer[]
  /** Whether the config blob is there, and whether it refers to the chain. */
  config: { digest: Digest; there: boolean; gcLabel: boolean }
  /** Whether nothing would be done. */
  ready: boolean
  /** Blobs without which the unpack would be refused. */
  missing: Digest[]
  /** Why blob providers that the user named do not help. */
  problems: string[]
  /** What is to be done about that. */
  fixes: string[]
}

export interface DryRunOptions {
  backend: Backend
  plan: Plan
  /** As `unpack` takes them. Sources are asked what they have. */
  blobs?: BlobProviderOptions | undefined
  signal?: AbortSignal | undefined
}

/** What an unpack of the plan would find and do. SNAPSHOTTER_NOT_FOUND, SOURCE_INVALID, USAGE, TREE_NOT_ON_NODE, CONTAINERD_*. */
export async function dryRun(options: DryRunOptions): Promise<DryRun> {
  const { backend, plan, blobs, signal = new AbortController().signal } = options
  const providers = createBlobProviders({ backend, plan, blobs, signal })
  try {
    const layers: DryRunLayer[] = []
    for (const index of plan.layers.keys()) layers.push(await lookAt(backend, plan, index, providers))
    const config = await infoOrNone(backend.content, plan.config.digest)
    const configThere = config !== undefined
    const gcThere = configThere && hasGcLabel(config, plan)
    const lacking = layers.filter(
      ({ snapshot, blob }) => snapshot === 'missing' && blob.need === 'required' && blob.origin === undefined,
    )
    const missing = new Set(lacking.map((layer) => layer.digest))
    if (!configThere && plan.layers.length > 0) missing.add(plan.config.digest)
    const { problems, fixes } = providers.complaints()
    return {
      layers,
      config: { digest: plan.config.digest, there: configThere, gcLabel: gcThere },
      ready: layers.every((layer) => layer.snapshot !== 'missing') && (gcThere || layers.length === 0),
      missing: [...missing],
      problems,
      fixes,
    }
  } finally {
    await providers.close()
  }
}

async function lookAt(backend: Backend, plan: Plan, index: number, providers: BlobProviders): Promise<DryRunLayer> {
  const layer = plan.layers[index]
  if (layer === undefined) throw new RangeError(`the plan has no layer ${index}`)
  const { digest } = layer.descriptor
  const info = await statOrNone(backend.snapshotter(plan.snapshotter), layer.chainID)
  const difference = info && compareLabels(layer.labels, info.labels, profileOf(plan).writes)
  const same = difference && isSame(difference)
  const wanted = info === undefined && layer.blob === 'required'
  const there = wanted ? await providers.isInStore(layer.descriptor) : await hasBytes(backend.content, digest)
  const origin = there
    ? ({ from: 'here' } as const)
    : wanted
      ? (await providers.offerFor({ index, layer }))?.origin
      : undefined
  return {
    index,
    digest,
    chainID: layer.chainID,
    snapshot: same === undefined ? 'missing' : same ? 'exists' : 'differs',
    ...(difference && !same ? { difference } : {}),
    blob: { need: layer.blob, there, ...(origin === undefined ? {} : { origin }) },
  }
}
