import type { Digest } from '../../image/digest.ts'
import { hasCode, LayercastError } from '../../image/errors.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import type { Backend, ContentInfo, SnapshotInfo } from '../ports.ts'
import { blobsNotFound } from './context.ts'
import { chainIDsOf, countPresent } from './snapshots.ts'
import { hasBlob } from './supply.ts'

interface Preflight {
  /** How many layers are there, from the base up. */
  present: number
  /** The highest layer that is there. */
  top: SnapshotInfo | undefined
  config: ContentInfo
  /** Layers whose blobs are required and are to be fetched. */
  toFetch: PlanLayer[]
}

/**
 * Everything that can be known to be wrong before anything is touched. PLAN_LABEL_REQUIRED; SNAPSHOTTER_NOT_FOUND;
 * BLOB_NOT_FOUND naming every blob that is missing, the config's among them, because the gc label is written on it.
 */
export async function preflight(backend: Backend, plan: Plan, canFetch: boolean): Promise<Preflight> {
  checkRequiredLabels(plan)
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const { present, top } = await countPresent(snapshotter, chainIDsOf(plan))
  const config = await infoOrNone(backend, plan.config.digest)
  const missing = await missingBlobs(backend, plan.layers.slice(present))
  const absent: Digest[] = [
    ...(config === undefined ? [plan.config.digest] : []),
    ...(canFetch ? [] : missing.map((layer) => layer.descriptor.digest)),
  ]
  if (config === undefined || absent.length > 0) throw blobsNotFound(absent)
  return { present, top, config, toFetch: missing }
}

function checkRequiredLabels(plan: Plan): void {
  const lacking = plan.layers
    .map((layer) => ({ layer: layer.descriptor.digest, labels: plan.requires.filter((key) => !layer.labels[key]) }))
    .filter(({ labels }) => labels.length > 0)
  const [first] = lacking
  if (first === undefined) return
  throw new LayercastError(
    'PLAN_LABEL_REQUIRED',
    `snapshotter ${plan.snapshotter} needs labels that the plan does not carry: ${first.labels.join(', ')} of layer ${first.layer}`,
    { fix: 'Make the plan again with its labels on (no --labels off).', detail: { lacking } },
  )
}

/** The layers that cannot be made without their blob, and whose blob is not there. */
async function missingBlobs(backend: Backend, layers: readonly PlanLayer[]): Promise<PlanLayer[]> {
  const known = new Map<Digest, Promise<boolean>>()
  const there = (digest: Digest) => {
    const asked = known.get(digest) ?? hasBlob(backend, digest)
    known.set(digest, asked)
    return asked
  }
  const required = layers.filter((layer) => layer.blob === 'required')
  const found = await Promise.all(required.map((layer) => there(layer.descriptor.digest)))
  return required.filter((_, index) => !found[index])
}

async function infoOrNone(backend: Backend, digest: Digest): Promise<ContentInfo | undefined> {
  try {
    return await backend.content.info(digest)
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined
    throw error
  }
}
