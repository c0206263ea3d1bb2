import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import type { Plan, PlanWarning } from '../../plan/document.ts'
import { FetchQueue } from '../blobs/fetch-queue.ts'
import { tellOrigin } from '../blobs/origin.ts'
import { createBlobProviders, type BlobProviders } from '../blobs/providers.ts'
import { hasGcLabel } from '../chain/gc-label.ts'
import type { Lazy } from '../chain/lazy.ts'
import { leaseExisting } from '../chain/lease-existing.ts'
import { chainIDsOf, countPresent } from '../chain/snapshots.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind } from '../operation/left-behind.ts'
import { checkApplier, chooseApplier } from './applier.ts'
import type { LayerContext } from './context.ts'
import { lookForDifferences, warnOfDifferences } from './differences.ts'
import { checkChain, labelConfig } from './finish.ts'
import { IgnoredTally } from './ignored.ts'
import { unpackLayers } from './layers.ts'
import { lookWhatIsLazy, tellLazy } from './lazy.ts'
import { canUnpackInParallel } from './parallel.ts'
import { preflight } from './preflight.ts'
import type { Emit, UnpackedLayer, UnpackEvent, UnpackOptions, UnpackResult } from './types.ts'
import { warnOfWrongTrees } from './wrong-trees.ts'

const LAYERS_IN_FLIGHT = 3

/**
 * Carries out a plan: containerd/FACTS.md section 2. Safe to stop or kill at any instruction and to run again, and safe
 * beside another unpacker of the same chain. Existing snapshots keep the labels they have (a LABELS_DIFFER warning says
 * so). Before anything is touched: PLAN_LABEL_REQUIRED, SNAPSHOTTER_NOT_FOUND, BLOB_NOT_FOUND with all of
 * `detail.digests`; of the ways in `blobs`, SOURCE_INVALID, USAGE and TREE_NOT_ON_NODE. Later, with everything prepared
 * removed: DIFF_ID_MISMATCH, SNAPSHOT_WITHOUT_MOUNTS, LAYER_*, CHAIN_INCOMPLETE, ABORTED, CONTAINERD_*, and what the last
 * way to a blob failed with.
 */
export async function unpack(options: UnpackOptions): Promise<UnpackResult> {
  const { backend, planned, blobs, signal = new AbortController().signal } = options
  const providers = createBlobProviders({ backend, plan: planned.plan, blobs, signal })
  try {
    return await carryOut({ ...options, signal }, providers)
  } finally {
    await providers.close()
  }
}

async function carryOut(
  options: UnpackOptions & { signal: AbortSignal },
  providers: BlobProviders,
): Promise<UnpackResult> {
  const { backend, planned, signal } = options
  const { plan } = planned
  const started = performance.now()
  const warnings: PlanWarning[] = [...plan.warnings]
  let mayHaveWaste = false
  let lazy: Lazy | undefined
  const emit: Emit = (event: UnpackEvent) => {
    // What was tried again may not have been undone the first time.
    if (event.type === 'retry') mayHaveWaste = true
    if (event.type === 'warning') warnings.push({ code: event.code, detail: event.detail })
    options.onEvent?.(event)
  }
  const result = (ready: boolean, done: ReadonlyMap<number, UnpackedLayer>): UnpackResult => ({
    plan: planned.digest,
    reference: plan.reference,
    snapshotter: plan.snapshotter,
    chainID: plan.chainID,
    ready,
    layers: plan.layers.map((_, index) => done.get(index) ?? existing(plan, index)),
    ...(lazy !== undefined && { lazy }),
    warnings,
    ms: performance.now() - started,
  })

  checkAborted(signal)
  if (plan.layers.length === 0) return result(true, new Map())
  checkApplier(backend, options.applier)
  const look = await retry(() => preflight(backend, plan, providers), { what: 'look at the node', signal, emit })
  emit({ type: 'started', layers: plan.layers.length, present: look.present })
  for (const { placed, offer } of look.toFetch) tellOrigin(placed, offer.origin, emit)
  for (const detail of providers.complaints().problems) emit({ type: 'warning', code: 'ORIGIN_REFUSED', detail })
  // A top that stands elsewhere (containerd before 2.2 passes over the parent of a Commit) is for the check at the end.
  const whole = look.present === plan.layers.length && look.top?.parent === plan.layers.at(-1)?.parent
  if (whole && hasGcLabel(look.config, plan)) {
    await lookForDifferences(backend, plan, look.top, emit)
    lazy = await lookWhatIsLazy(backend, plan, emit)
    await dropLeftBehind(backend, emit)
    return result(true, new Map())
  }

  const done = await underLease(
    backend,
    { purpose: 'unpack', signal, emit, collect: () => mayHaveWaste },
    async (leased) => {
      const concurrency = LAYERS_IN_FLIGHT
      const fetchQueue = new FetchQueue({ backend: leased, providers, concurrency, signal, emit })
      const snapshotter = leased.snapshotter(plan.snapshotter)
      const { applier, daemons } = await chooseApplier(leased, options.applier)
      const context: LayerContext = {
        backend: leased,
        snapshotter,
        applier,
        fetchQueue,
        ignored: new IgnoredTally(),
        signal,
        emit,
      }
      try {
        fetchQueue.prefetch(look.toFetch.map(({ placed }) => placed))
        const top = look.present < plan.layers.length ? undefined : plan.layers.at(-1)
        const held = top === undefined || (await leaseExisting(snapshotter, top, signal))
        const present = held ? look.present : (await countPresent(snapshotter, chainIDsOf(plan))).present
        const parallel = !options.sequential && (await canUnpackInParallel(context, plan, present, options.applier))
        const sideBySide = parallel ? concurrency : 1
        const made = await unpackLayers(context, backend, plan, { present, sideBySide })
        checkAborted(signal)
        const infos = await retry(() => checkChain(snapshotter, plan), { what: 'look at the chain', signal, emit })
        emit({ type: 'chain', step: 'checked' })
        await retry(() => labelConfig(leased.content, plan), { what: 'label the config', signal, emit })
        emit({ type: 'chain', step: 'labelled' })
        context.ignored.tell(made, emit)
        await warnOfDifferences(leased, plan, infos, emit)
        await warnOfWrongTrees(context, plan, daemons)
        lazy = tellLazy(plan, infos, emit)
        return made
      } finally {
        await fetchQueue.close()
      }
    },
  )
  await dropLeftBehind(backend, emit)
  return result(false, done)
}

function existing(plan: Plan, index: number): UnpackedLayer {
  const layer = plan.layers[index]
  if (layer === undefined) throw new RangeError(`the plan has no layer ${index}`)
  return { index, digest: layer.descriptor.digest, chainID: layer.chainID, state: 'exists', ms: 0, bytes: 0 }
}
