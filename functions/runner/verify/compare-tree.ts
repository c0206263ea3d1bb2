/** Compares the tree that a snapshotter shows with the tree that a plan's layers describe. */
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { hasCode, LayercastError } from '../../errors.ts'
import { checkAborted } from '../../kit/abort.ts'
import { describeLayer } from '../../layer/compare/describe-layer.ts'
import { DescribedTree } from '../../layer/compare/described-tree.ts'
import { TreeComparison, type TreeDifference } from '../../layer/compare/tree-comparison.ts'
import { inUserNamespace } from '../../linux/user-namespace.ts'
import { walk } from '../../linux/walk.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import type { EmitOperation, OperationEvent } from '../operation/events.ts'
import { comparableLayers, type ComparableLayers } from './comparable-layers.ts'
import { lostOf } from './lost-directory.ts'
import { withMountedSnapshot } from './mounted-snapshot.ts'
import type { TreeReport } from './types.ts'

export interface CompareOptions {
  backend: Backend
  plan: Plan
  /** Whether the content of the files is compared too. */
  contents?: boolean | undefined
  signal?: AbortSignal | undefined
  /** Takes the events of the leases under which snapshots are looked at. */
  onEvent?: EmitOperation | undefined
}

/** The most differences that a report names. */
const MOST_DIFFERENCES = 1000
/** How many entries are walked before signals and the daemon's answers have their turn. */
const ENTRIES_AT_ONCE = 1000
/** How many times a comparison is tried while its snapshots or blobs vanish, and as many layers as before can be compared. */
const TRIES = 3

/** Why a plan's tree cannot be compared on this node; undefined where it can. */
export function whyNoTree(plan: Plan): string | undefined {
  if (profileOf(plan).content !== 'guest') return undefined
  return `${plan.snapshotter} (profile ${plan.profile}) keeps no tree on the node: the guest pulls the image`
}

/**
 * Mounts the chain's tree and compares every name, kind, size, mode, owner, link target, device number and, where that is
 * certain, extended attribute; with `contents` the bytes of every file. Where snapshots or blobs are missing, also where they
 * vanish meanwhile, the layers below them are compared, and the report names the others. Changes nothing.
 *
 * Errors: TREE_NOT_ON_NODE for a chain whose content is in a guest; LAYER_*, DIGEST_MISMATCH, DIFF_ID_MISMATCH where a blob is
 * damaged; SYSTEM_CALL_FAILED, FAILED_PRECONDITION, MOUNT_HELPER_MISSING where the snapshot cannot be mounted; ABORTED,
 * CONTAINERD_*.
 */
export async function compareTree(options: CompareOptions): Promise<TreeReport> {
  const { plan, contents = false } = options
  checkHasTree(plan)
  return await againIfGone(options, async ({ count, notCompared, lazy }) => {
    const empty = {
      ok: true,
      contents,
      compared: count,
      notCompared,
      entries: 0,
      differences: [],
      total: 0,
      unsure: [],
    }
    if (count === 0) return empty
    const described = new DescribedTree({ contents })
    for (const layer of plan.layers.slice(0, count)) await describe(options, described, layer, lazy)
    try {
      return { ...empty, ...(await compareWith(options, described, count)) }
    } catch (error) {
      const lost = lostLayer(plan, count, error)
      if (lost === undefined) throw error
      return { ...empty, ok: false, compared: 0, lost }
    }
  })
}

/**
 * Finds the lowest layer whose snapshot shows another tree than the layers up to it describe: the chain must be made again
 * from there on.
 *
 * @returns its index; undefined where every layer that can be compared is right. Errors as `compareTree`.
 */
export async function lowestWrongLayer(options: CompareOptions): Promise<number | undefined> {
  const { plan, contents = false } = options
  checkHasTree(plan)
  return await againIfGone(options, async ({ count, lazy }) => {
    const described = new DescribedTree({ contents })
    for (const [index, layer] of plan.layers.slice(0, count).entries()) {
      await describe(options, described, layer, lazy)
      try {
        if (!(await compareWith(options, described, index + 1)).ok) return index
      } catch (error) {
        const lost = lostLayer(plan, index + 1, error)
        if (lost === undefined) throw error
        return lost.index
      }
    }
    return undefined
  })
}

/**
 * Compares what can be compared; where a snapshot or a blob vanishes meanwhile, again without it. Nothing keeps either from
 * the garbage collector between the moment that it is found and the moment that it is read.
 */
async function againIfGone<T>(
  { backend, plan }: CompareOptions,
  compare: (layers: ComparableLayers) => Promise<T>,
): Promise<T> {
  let layers = await comparableLayers(backend, plan)
  for (let tries = 1; ;) {
    try {
      return await compare(layers)
    } catch (error) {
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND', 'BLOB_NOT_FOUND')) throw error
      const now = await comparableLayers(backend, plan)
      // As many layers as before: what vanished has been made again, or the backend contradicts itself.
      if (now.count >= layers.count && ++tries > TRIES) throw error
      layers = now
    }
  }
}

/** The layer whose directory is gone, where an error says so: of the `count` layers that were to be shown. */
function lostLayer(plan: Plan, count: number, error: unknown): TreeReport['lost'] {
  const lost = lostOf(error)
  if (lost === undefined) return undefined
  const index = Math.max(0, count - 1 - lost.below)
  const layer = plan.layers[index]
  if (layer === undefined) return undefined
  const { descriptor, chainID } = layer
  return { index, digest: descriptor.digest, chainID, ...(lost.path === undefined ? {} : { path: lost.path }) }
}

function checkHasTree(plan: Plan): void {
  const why = whyNoTree(plan)
  if (why === undefined) return
  throw new LayercastError('TREE_NOT_ON_NODE', why, {
    fix: 'Leave --deep away: labels, parents and kinds are all that this node has of it.',
    detail: { snapshotter: plan.snapshotter, profile: plan.profile },
  })
}

/** Adds the layer to the described tree. */
async function describe(
  { backend, plan, signal }: CompareOptions,
  described: DescribedTree,
  layer: PlanLayer,
  lazy: ComparableLayers['lazy'],
): Promise<void> {
  const source = backend.content.read(layer.descriptor.digest)
  const hides = lazy.has(layer) ? profileOf(plan).hides : []
  await describeLayer(described, layer, { source, hides, signal })
}

/** Compares the described tree with the one that the snapshot of the layer numbered `count` (from 1) shows. */
async function compareWith(
  options: CompareOptions,
  described: DescribedTree,
  count: number,
): Promise<Pick<TreeReport, 'ok' | 'entries' | 'differences' | 'total' | 'unsure'>> {
  const { backend, plan, contents = false, signal = new AbortController().signal, onEvent } = options
  const comparison = new TreeComparison(described.root, { contents, devices: !inUserNamespace() })
  const differences: TreeDifference[] = []
  let total = 0
  let entries = 0
  const take = (found: Iterable<TreeDifference>): void => {
    for (const difference of found) {
      total++
      if (differences.length < MOST_DIFFERENCES) differences.push(difference)
    }
  }
  const name = plan.layers[count - 1]?.chainID ?? ''
  const { snapshotter } = plan
  const mounted = { backend, snapshotter, name, signal, emit: (event: OperationEvent) => onEvent?.(event) }
  await withMountedSnapshot(mounted, async (directory) => {
    for (const entry of walk(directory, { contents })) {
      take(comparison.entry(entry))
      if (entry.path !== '') entries++
      // The walk is synchronous, so it gives way now and then.
      if (entries % ENTRIES_AT_ONCE === 0) await yieldToOthers()
      checkAborted(signal)
    }
    take(comparison.finish())
  })
  return { ok: total === 0, entries, differences, total, unsure: comparison.unsure }
}
