/** Compares the tree under a snapshotter with what a plan's layers describe. */
import { setImmediate as breathe } from 'node:timers/promises'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { isEncrypted } from '../../image/media-type.ts'
import { checkAborted } from '../../kit/abort.ts'
import { TreeComparison, type TreeDifference, type UnsureDifference } from '../../layer/compare/compare.ts'
import { foldLayer } from '../../layer/compare/expected.ts'
import { Fold } from '../../layer/compare/fold.ts'
import { inUserNamespace } from '../../linux/user-namespace.ts'
import { walk } from '../../linux/walk.ts'
import { hasBytes } from '../../node/blob-fault.ts'
import { statOrNone } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import { isLazy } from '../chain/lazy.ts'
import type { EmitOperation } from '../operation/events.ts'
import { lostOf } from './lost-directory.ts'
import { withMountedSnapshot } from './mounted-snapshot.ts'

export interface CompareOptions {
  backend: Backend
  plan: Plan
  /** Whether the content of the files is compared too. */
  contents?: boolean
  signal?: AbortSignal
}

/** A layer that the comparison does not reach. */
export interface NotCompared {
  index: number
  digest: Digest
  why: 'snapshot missing' | 'blob missing' | 'layer unreadable' | 'above one of these'
}

export interface TreeReport {
  /** Nothing that was compared differs. */
  ok: boolean
  contents: boolean
  /** How many layers, from the base up, the tree that was compared is made of. */
  compared: number
  notCompared: NotCompared[]
  /** A layer whose snapshot has no directory any more, so that no tree is there to be compared. */
  lost?: { index: number; digest: Digest; chainID: Digest; path?: string }
  /** Files, directories and links that were looked at. */
  entries: number
  /** The first of them; `total` counts all. */
  differences: TreeDifference[]
  total: number
  /** Attributes and device nodes that are not there, nor any of their kind: it may be that this node holds none. */
  unsure: UnsureDifference[]
}

const ignore: EmitOperation = () => {}
/** The most differences that a report names. */
const MOST_DIFFERENCES = 1000
const ENTRIES_AT_ONCE = 1000
/** How often the chain is looked at again where no layer less can be compared than before. */
const LOOKS = 3

/** Why a plan's tree cannot be compared on this node; undefined where it can. */
export function whyNoTree(plan: Plan): string | undefined {
  if (profileOf(plan).content !== 'guest') return undefined
  return `${plan.snapshotter} (profile ${plan.profile}) keeps no tree on the node: the guest pulls the image`
}

/**
 * Mounts the chain's tree and compares every name, kind, size, mode, owner, link target, device number and, where that is
 * sure, extended attribute; with `contents` every file's bytes. Where blobs or upper snapshots are missing, also where they
 * go meanwhile, the layers below are compared and the others are named. Changes nothing. TREE_NOT_ON_NODE for a chain whose content is in a guest;
 * LAYER_*, DIGEST_MISMATCH, DIFF_ID_MISMATCH where a blob is damaged; SYSTEM_CALL_FAILED, FAILED_PRECONDITION,
 * MOUNT_HELPER_MISSING where the snapshot cannot be mounted; ABORTED, CONTAINERD_*.
 */
export async function compareTree(options: CompareOptions): Promise<TreeReport> {
  const { plan, contents = false } = options
  checkHasTree(plan)
  return await whileItLasts(options, async ({ reach, notCompared, lazy }) => {
    const empty = {
      ok: true,
      contents,
      compared: reach,
      notCompared,
      entries: 0,
      differences: [],
      total: 0,
      unsure: [],
    }
    if (reach === 0) return empty
    const fold = new Fold({ contents })
    for (const layer of plan.layers.slice(0, reach)) await foldOne(options, fold, layer, lazy)
    try {
      return { ...empty, ...(await compareAt(options, fold, reach)) }
    } catch (error) {
      const lost = lostLayer(plan, reach, error)
      if (lost === undefined) throw error
      return { ...empty, ok: false, compared: 0, lost }
    }
  })
}

/**
 * The lowest layer whose snapshot shows another tree than the layers up to it describe: from there on the chain must be
 * made again. Undefined where every one that can be compared is right. Errors as `compareTree`.
 */
export async function lowestDamage(options: CompareOptions): Promise<number | undefined> {
  const { plan, contents = false } = options
  checkHasTree(plan)
  return await whileItLasts(options, async ({ reach, lazy }) => {
    const fold = new Fold({ contents })
    for (const [index, layer] of plan.layers.slice(0, reach).entries()) {
      await foldOne(options, fold, layer, lazy)
      try {
        if (!(await compareAt(options, fold, index + 1)).ok) return index
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
 * Compares what can be compared, and again without what went meanwhile: nothing keeps a snapshot or a blob from the
 * collector between the look that finds it and the one into it. One that is not there is missing, which is no failure.
 */
async function whileItLasts<T>(options: CompareOptions, compare: (reach: Reach) => Promise<T>): Promise<T> {
  let reach = await reachOf(options)
  for (let tries = 1; ;) {
    try {
      return await compare(reach)
    } catch (error) {
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND', 'BLOB_NOT_FOUND')) throw error
      const now = await reachOf(options)
      // With as much there as before it was made again, or someone contradicts himself.
      if (now.reach >= reach.reach && ++tries > LOOKS) throw error
      reach = now
    }
  }
}

/** The layer that an error says has lost its directory, of so many that were to be shown; undefined for other errors. */
function lostLayer(plan: Plan, layers: number, error: unknown): TreeReport['lost'] {
  const lost = lostOf(error)
  if (lost === undefined) return undefined
  const index = Math.max(0, layers - 1 - lost.below)
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

interface Reach {
  /** How many layers, from the base up, can be compared. */
  reach: number
  notCompared: NotCompared[]
  /** The layers that the snapshotter shows by itself. */
  lazy: ReadonlySet<PlanLayer>
}

async function reachOf({ backend, plan }: CompareOptions): Promise<Reach> {
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const notCompared: NotCompared[] = []
  const lazy = new Set<PlanLayer>()
  let reach: number | undefined
  for (const [index, layer] of plan.layers.entries()) {
    const { digest } = layer.descriptor
    const info = await statOrNone(snapshotter, layer.chainID)
    if (isLazy(plan, info)) lazy.add(layer)
    const there = info?.kind === 'committed'
    const why = !there
      ? 'snapshot missing'
      : !(await hasBytes(backend.content, digest))
        ? 'blob missing'
        : isUnreadable(layer)
          ? 'layer unreadable'
          : reach === undefined
            ? undefined
            : 'above one of these'
    if (why === undefined) continue
    reach ??= index
    notCompared.push({ index, digest, why })
  }
  return { reach: reach ?? plan.layers.length, notCompared, lazy }
}

/** Layers that are no archives, or whose key is not ours. */
function isUnreadable({ descriptor: { mediaType } }: PlanLayer): boolean {
  return mediaType.startsWith('application/vnd.erofs.') || isEncrypted(mediaType)
}

async function foldOne(
  { backend, plan, signal }: CompareOptions,
  fold: Fold,
  layer: PlanLayer,
  lazy: Reach['lazy'],
): Promise<void> {
  const source = backend.content.read(layer.descriptor.digest)
  const hides = lazy.has(layer) ? profileOf(plan).hides : []
  await foldLayer(fold, layer, { source, hides, ...(signal === undefined ? {} : { signal }) })
}

async function compareAt(
  options: CompareOptions,
  fold: Fold,
  layers: number,
): Promise<Pick<TreeReport, 'ok' | 'entries' | 'differences' | 'total' | 'unsure'>> {
  const { backend, plan, contents = false, signal = new AbortController().signal } = options
  const comparison = new TreeComparison(fold.root, { contents, devices: !inUserNamespace() })
  const differences: TreeDifference[] = []
  let total = 0
  let entries = 0
  const take = (found: Iterable<TreeDifference>): void => {
    for (const difference of found) {
      total++
      if (differences.length < MOST_DIFFERENCES) differences.push(difference)
    }
  }
  const name = plan.layers[layers - 1]?.chainID ?? ''
  await withMountedSnapshot(
    { backend, snapshotter: plan.snapshotter, name, signal, emit: ignore },
    async (directory) => {
      for (const entry of walk(directory, { contents })) {
        take(comparison.entry(entry))
        // The walk is synchronous: signals and the daemon's answers have their turn in between.
        if (entry.path !== '') entries++
        if (entries % ENTRIES_AT_ONCE === 0) await breathe()
        checkAborted(signal)
      }
      take(comparison.finish())
    },
  )
  return { ok: total === 0, entries, differences, total, unsure: comparison.unsure }
}
