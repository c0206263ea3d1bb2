/**
 * Parallel mode (containerd/FACTS.md section 2): layers are prepared without a parent and written at the same time; then each
 * is committed onto the one below it, in order. A layer that is not right without those below is made again on top of them:
 * one that leaves out directories that they describe, links to a file of theirs, or hides all of theirs.
 */
import { hasCode, LayercastError } from '../../errors.ts'
import { asAborted, orAborted } from '../../kit/abort.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import type { Applier } from '../../layer/apply/types.ts'
import { asBareUpperdir, soleBind } from '../../linux/plain-mounts.ts'
import { removeIfThere } from '../../node/or-none.ts'
import type { Plan } from '../../plan/document.ts'
import type { Placed } from '../blobs/placed.ts'
import { bottomHalf } from './bottom-half.ts'
import { discard, tell, type LayerContext, type TopHalf } from './context.ts'
import { madeOf, unpackLayer, type MadeLayer } from './layer.ts'
import { isVisible } from './reach.ts'
import { applyLayer, prepareLayer, topHalf } from './top-half.ts'
import type { ApplierChoice, UnpackedLayer } from './types.ts'

/** The snapshotters whose layers are upperdirs of overlayfs until they are committed. */
const PROFILES: ReadonlySet<string> = new Set(['overlayfs', 'erofs'])

/**
 * Whether layers can be made in parallel: the snapshotter can set a parent at Commit (`rebase`) and keeps a layer as overlayfs
 * does, the applier writes whiteouts as overlayfs keeps them, and there are at least two layers to make.
 */
export async function canUnpackInParallel(
  context: LayerContext,
  plan: Plan,
  present: number,
  applier: ApplierChoice | Applier | undefined,
): Promise<boolean> {
  if (plan.layers.length - present < 2 || !PROFILES.has(plan.profile) || typeof applier === 'object') return false
  return (await context.snapshotter.capabilities()).has('rebase')
}

/**
 * Makes the layers from index `present` up, at most `concurrency` of them at a time, and puts each into `done`. When one fails,
 * those above it are stopped and leave nothing; those below it are finished. The lowest failure is thrown.
 */
export async function unpackInParallel(
  context: LayerContext,
  plan: Plan,
  from: { present: number; concurrency: number; done: Map<number, UnpackedLayer> },
): Promise<void> {
  const { present, concurrency, done } = from
  const stops = plan.layers.map(() => new AbortController())
  const committed = plan.layers.map(() => Promise.withResolvers<void>())
  // Only the layer above waits for it, and after a failure perhaps nobody: that must not count as an unhandled rejection.
  for (const { promise } of committed) promise.catch(() => undefined)
  const failures = new Map<number, unknown>()
  let next = present

  async function makeOne(index: number): Promise<void> {
    const layer = plan.layers[index]
    const stop = stops[index]
    if (layer === undefined || stop === undefined) return
    const signal = AbortSignal.any([context.signal, stop.signal])
    const own = { ...context, signal }
    const placed = { index, layer }
    try {
      const below = index === present ? undefined : committed[index - 1]?.promise
      done.set(index, await unpackLayer(own, placed, () => makeLayer(own, placed, below)))
      committed[index]?.resolve()
    } catch (error) {
      failures.set(index, error)
      committed[index]?.reject(error)
      for (const above of stops.slice(index + 1)) above.abort(error)
    }
  }
  // Start layers bottom-up, so that a layer's parent is always running before it.
  async function work(): Promise<void> {
    for (let index = next++; index < plan.layers.length && failures.size === 0; index = next++) await makeOne(index)
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  if (failures.size > 0) throw await lowestOf(failures)
}

/** The failure of the lowest layer, with those of other layers that did not just follow from it. */
async function lowestOf(failures: ReadonlyMap<number, unknown>): Promise<unknown> {
  const [[, lowest] = [], ...others] = [...failures].toSorted(([a], [b]) => a - b)
  const own = others.filter(
    ([, error]) => error !== lowest && !(hasCode(error, 'ABORTED') && !('cleanup' in error.detail)),
  )
  return await cleanUp(
    lowest,
    own.map(([index, error]) => ({ what: `make layer ${index + 1}`, run: () => Promise.reject(error as Error) })),
  )
}

/** @param below settles with the layer below; undefined for the lowest layer, which is prepared on what is there */
async function makeLayer(context: LayerContext, placed: Placed, below: Promise<void> | undefined): Promise<MadeLayer> {
  const alone = below === undefined ? undefined : await topHalfAlone(context, placed)
  try {
    if (below !== undefined) await orAborted(below, context.signal)
  } catch (error) {
    throw alone === undefined || alone.state === 'taken' ? error : await discard(context, alone.key, error)
  }
  if (alone !== undefined) return madeOf(await bottomHalf(context, placed, alone, placed.layer.parent), alone)
  const top = await topHalf(context, placed)
  return madeOf(await bottomHalf(context, placed, top), top)
}

/** The top half of a layer without those below. Undefined, with nothing left, where the layer would not be right that way. */
async function topHalfAlone(context: LayerContext, placed: Placed): Promise<TopHalf | undefined> {
  const { snapshotter } = context
  tell(context, placed, 'preparing')
  const prepared = await prepareLayer(context, placed, '')
  if (prepared === undefined) return { state: 'taken' }
  const { key } = prepared
  try {
    tell(context, placed, 'prepared')
    const upperdir = soleBind(prepared.mounts)?.source
    if (upperdir !== undefined && (await isVisible(upperdir))) {
      tell(context, placed, 'fetching')
      const fetched = await context.fetchQueue.ensure(placed)
      const applied = await applyLayer(context, placed, asBareUpperdir(upperdir, prepared.mounts), fetched)
      // An applier that does not say counts as one that made such directories.
      if (applied.impliesDirectories === false) {
        const proven = applied.diffID === placed.layer.diffID
        return { state: 'applied', key, bytes: applied.size, fetched, proven }
      }
    }
  } catch (error) {
    const failure = await discard(context, key, asAborted(error, context.signal))
    // The next try, on top of the layer below, shows whether the layer is wrong or cannot be written alone.
    if (failure === error && isOfLayer(error)) return undefined
    throw failure
  }
  await removeIfThere(snapshotter, key)
  return undefined
}

function isOfLayer(error: unknown): boolean {
  if (hasCode(error, 'DIFF_ID_MISMATCH', 'DIGEST_MISMATCH', 'SYSTEM_CALL_FAILED', 'CONTAINERD_FAILED')) return true
  return error instanceof LayercastError && error.code.startsWith('LAYER_')
}
