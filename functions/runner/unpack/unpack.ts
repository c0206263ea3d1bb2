/** Carries out a plan: look at the node, lease, make the layers, check the chain, tell. The README has the steps. */
import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import type { Backend, SnapshotInfo } from '../../node/ports.ts'
import { FetchQueue } from '../blobs/fetch-queue.ts'
import { tellOrigin } from '../blobs/origin.ts'
import { createBlobProviders, type BlobProviders } from '../blobs/providers.ts'
import type { Lazy } from '../chain/lazy.ts'
import { leaseExisting } from '../chain/lease-existing.ts'
import { chainIDsOf, countPresent, snapshotsOf } from '../chain/snapshots.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind } from '../operation/left-behind.ts'
import { checkApplier, chooseApplier } from './applier.ts'
import type { LayerContext } from './context.ts'
import { topDiffers, warnOfDifferences } from './differences.ts'
import { checkChain, labelConfig } from './finish.ts'
import { IgnoredTally } from './ignored.ts'
import { unpackLayers } from './layers.ts'
import { mayBeLazy, tellLazy } from './lazy.ts'
import { canUnpackInParallel } from './parallel.ts'
import { isReady, preflight, type Preflight } from './preflight.ts'
import { Report } from './report.ts'
import type { UnpackedLayer, UnpackOptions, UnpackResult } from './types.ts'
import { warnOfWrongTrees } from './wrong-trees.ts'

/** How many layers are written in parallel, and how many blobs are fetched at once: as many as CRI allows in flight. */
const AT_ONCE = 3

/** What all steps of a run work with. */
interface Run {
  options: UnpackOptions
  signal: AbortSignal
  report: Report
  providers: BlobProviders
}

/**
 * Unpacks an image as its plan says (containerd/FACTS.md section 2). Safe to stop or kill at any instruction and to run again,
 * and safe beside another unpacker of the same chain. Existing snapshots keep the labels they have (a LABELS_DIFFER warning
 * says so).
 *
 * Errors before anything is touched: PLAN_LABEL_REQUIRED, SNAPSHOTTER_NOT_FOUND, BLOB_NOT_FOUND with all of
 * `detail.digests`; for the providers in `blobs`, SOURCE_INVALID, USAGE and TREE_NOT_ON_NODE. Errors later, with everything
 * prepared removed: DIFF_ID_MISMATCH, SNAPSHOT_WITHOUT_MOUNTS, LAYER_*, CHAIN_INCOMPLETE, ABORTED, CONTAINERD_*, and the
 * error of the last offer of a blob.
 */
export async function unpack(options: UnpackOptions): Promise<UnpackResult> {
  const { backend, planned, blobs, signal = new AbortController().signal } = options
  const { plan } = planned
  const report = new Report(options)
  const providers = createBlobProviders({ backend, plan, blobs, signal })
  try {
    checkAborted(signal)
    if (plan.layers.length === 0) return report.result(true, new Map(), undefined)
    checkApplier(backend, options.applier)
    const run: Run = { options, signal, report, providers }
    const look = await lookAtNode(run)
    const ready = isReady(look, plan)
    const { made, lazy } = ready ? await tellOfReady(run, look) : await makeUnderLease(run, look)
    await dropLeftBehind(backend, report.emit)
    return report.result(ready, made, lazy)
  } finally {
    await providers.close()
  }
}

async function lookAtNode({ options, signal, report: { emit }, providers }: Run): Promise<Preflight> {
  const { backend, planned } = options
  const { plan } = planned
  const look = await retry(() => preflight(backend, plan, providers), { what: 'look at the node', signal, emit })
  emit({ type: 'started', layers: plan.layers.length, present: look.present })
  for (const { placed, offer } of look.toFetch) tellOrigin(placed, offer.origin, emit)
  for (const detail of providers.complaints().problems) emit({ type: 'warning', code: 'ORIGIN_REFUSED', detail })
  return look
}

/** What a run has done: the layers that it made, by index, and how many layers of the chain are lazy. */
interface Done {
  made: ReadonlyMap<number, UnpackedLayer>
  lazy: Lazy | undefined
}

async function tellOfReady({ options, report: { emit } }: Run, { top }: Preflight): Promise<Done> {
  const { backend, planned } = options
  const { plan } = planned
  const made = new Map<number, UnpackedLayer>()
  const isOthers = topDiffers(plan, top)
  // One call for each layer, which most chains that are ready do not need.
  if (!isOthers && !mayBeLazy(plan)) return { made, lazy: undefined }
  const infos = await snapshotsOf(backend.snapshotter(plan.snapshotter), plan)
  if (isOthers) await warnOfDifferences(backend, plan, infos, emit)
  return { made, lazy: tellLazy(plan, infos, emit) }
}

async function makeUnderLease(run: Run, look: Preflight): Promise<Done> {
  const { options, signal, report, providers } = run
  const { emit } = report
  const lease = { purpose: 'unpack', signal, emit, collect: () => report.mayHaveWaste }
  return await underLease(options.backend, lease, async (leased) => {
    const fetchQueue = new FetchQueue({ backend: leased, providers, concurrency: AT_ONCE, signal, emit })
    try {
      fetchQueue.prefetch(look.toFetch.map(({ placed }) => placed))
      return await makeChain(run, look, leased, fetchQueue)
    } finally {
      await fetchQueue.close()
    }
  })
}

async function makeChain(run: Run, look: Preflight, leased: Backend, fetchQueue: FetchQueue): Promise<Done> {
  const { options, signal, report } = run
  const { emit } = report
  const { plan } = options.planned
  const { applier, byDaemon } = await chooseApplier(leased, options.applier)
  const context: LayerContext = {
    backend: leased,
    unleased: options.backend,
    snapshotter: leased.snapshotter(plan.snapshotter),
    applier,
    fetchQueue,
    ignored: new IgnoredTally(),
    signal,
    emit,
  }
  const present = await leasePresent(context, run, look)
  const parallel = !options.sequential && (await canUnpackInParallel(context, plan, present, options.applier))
  const made = await unpackLayers(context, plan, { present, atOnce: parallel ? AT_ONCE : 1 })
  const infos = await finish(context, run)
  context.ignored.tell(made, emit)
  await warnOfDifferences(leased, plan, infos, emit)
  await warnOfWrongTrees(context, plan, byDaemon)
  return { made, lazy: tellLazy(plan, infos, emit) }
}

/**
 * How many layers are there, from the base up. A chain that is whole is put under the lease first, because nothing may refer to
 * it until its gc label is written.
 */
async function leasePresent(context: LayerContext, { options, signal }: Run, { present }: Preflight): Promise<number> {
  const { snapshotter } = context
  const { plan } = options.planned
  const top = present < plan.layers.length ? undefined : plan.layers.at(-1)
  if (top === undefined || (await leaseExisting(snapshotter, top, signal))) return present
  return (await countPresent(snapshotter, chainIDsOf(plan))).present
}

/** Checks the whole chain, and then has the image refer to it. */
async function finish(context: LayerContext, { options, signal }: Run): Promise<SnapshotInfo[]> {
  const { backend, snapshotter, emit } = context
  const { plan } = options.planned
  checkAborted(signal)
  const infos = await retry(() => checkChain(snapshotter, plan), { what: 'look at the chain', signal, emit })
  emit({ type: 'chain', step: 'checked' })
  await retry(() => labelConfig(backend.content, plan), { what: 'label the config', signal, emit })
  emit({ type: 'chain', step: 'labelled' })
  return infos
}
