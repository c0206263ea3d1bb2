/** Makes a chain that is there, in whatever state, what its plan says. */
import { hasCode, LayercastError } from '../../errors.ts'
import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import type { Backend } from '../../node/ports.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind, removeUnfinished } from '../operation/left-behind.ts'
import { unpack } from '../unpack/unpack.ts'
import { compareTree, lowestWrongLayer } from '../verify/compare-tree.ts'
import { verifyChain } from '../verify/verify.ts'
import { fetchBlobs, findBlobs, healBlobs, withProviders } from './blobs.ts'
import { decide, isNothing } from './decide.ts'
import { withRepairLock } from './lock.ts'
import { leaseKept, removeLayers } from './remove-layers.ts'
import type { RepairDryRun, RepairEvent, RepairLook, RepairOptions, RepairResult } from './types.ts'
import { inUse, usersOf, type Users } from './users.ts'

const STALE_AFTER_MS = 60 * 60 * 1000
/** How often the part that stays may go under the run before it is made again too, with no look at its blobs. */
const LOOKS = 3

interface Looked extends RepairLook {
  users: Users['users']
}

/** What a repair would do, and who or what would have it refused. Changes nothing. Errors as `verifyChain`, `compareTree`. */
export async function dryRunRepair(options: RepairOptions): Promise<RepairDryRun> {
  const look = await lookAt(options)
  return await withProviders(options, async (providers) => {
    const { missing } = await findBlobs(options, look, providers)
    const { problems, fixes } = providers.complaints()
    return { ...look, missing, problems, fixes }
  })
}

/**
 * Repairs one chain: labels in place where that is enough, else the snapshots are removed from the top down and unpacked
 * again; what is missing is unpacked; the gc label is written. Safe to kill at any instruction and to run again.
 * Before anything is changed: SNAPSHOT_IN_USE with `detail.users` where a container or another image stands on what must
 * be made again; BLOB_NOT_FOUND; PLAN_LABEL_REQUIRED; ALREADY_EXISTS where another repair is at work; with `deep`,
 * TREE_NOT_ON_NODE. Later: as `unpack`. The result says whether all is well now.
 */
export async function repairChain(options: RepairOptions): Promise<RepairResult> {
  const { backend, planned, deep = false, signal = new AbortController().signal } = options
  const { plan } = planned
  const started = performance.now()
  const emit = (event: RepairEvent): void => options.onEvent?.(event)
  checkAborted(signal)
  checkRequiredLabels(options)
  return await withRepairLock(backend, plan, emit, async () => {
    const healed = await healBlobs(options)
    let first = await lookAt(options)
    if (first.decision.remove.length > 0) {
      // A view that a killed run had on what is to go would be in the way.
      await removeUnfinished(backend, emit)
      first = await lookAt(options)
    }
    if (isNothing(first.decision)) {
      await dropLeftBehind(backend, emit)
      const { users: _, ...look } = first
      const { before, tree } = look
      const rest = { after: before, ...(tree ? { treeAfter: tree } : {}), ms: performance.now() - started }
      return { ...look, healed, ok: before.ok && (tree?.ok ?? true), ...rest }
    }
    const done = await underLease(backend, { purpose: 'repair', signal, emit }, async (leased) => {
      const { users, ...look } = await lookAndHold(options, leased, first)
      const { decision, leftovers } = look
      if (users.length > 0) throw inUse(plan, decision.remove.length, users)
      await withProviders(options, (providers) => fetchBlobs(options, look, providers, leased))
      for (const update of decision.update) {
        checkAborted(signal)
        if (await updateLabels(leased, plan.snapshotter, update.chainID, update.labels, signal)) {
          emit({ type: 'labels', update })
        }
      }
      if (decision.remove.length > 0) await removeLayers({ leased, plan, decision, leftovers, signal, emit })
      // Its own lease takes over before this one ends.
      const unpacked = await unpack({
        backend,
        planned,
        signal,
        onEvent: emit,
        ...(options.applier === undefined ? {} : { applier: options.applier }),
        ...(options.blobs === undefined ? {} : { blobs: options.blobs }),
      })
      return { ...look, unpacked }
    })
    const treeAfter = deep ? await compareTree({ ...options, plan }) : undefined
    const after = await verifyChain({ backend, plan })
    const ok = after.ok && (treeAfter?.ok ?? true)
    return { ...done, healed, ok, after, ...(treeAfter ? { treeAfter } : {}), ms: performance.now() - started }
  })
}

async function lookAt(options: RepairOptions): Promise<Looked> {
  const { backend, planned, deep = false, staleAfterMs = STALE_AFTER_MS } = options
  const { plan } = planned
  const tree = deep ? await compareTree({ ...options, plan }) : undefined
  const damaged = tree === undefined || tree.ok ? undefined : await lowestWrongLayer({ ...options, plan })
  // Last, so that what went while the trees were compared is missing here.
  const before = await verifyChain({ backend, plan })
  const decision = decide(plan, before, damaged)
  const removed = new Set<string>(decision.remove.map(({ chainID }) => chainID))
  const { users, leftovers } =
    removed.size === 0
      ? { users: [], leftovers: [] }
      : await usersOf({ backend, plan, removed, staleBefore: Date.now() - staleAfterMs })
  return {
    plan: planned.digest,
    reference: plan.reference,
    snapshotter: plan.snapshotter,
    chainID: plan.chainID,
    before,
    ...(tree === undefined ? {} : { tree }),
    decision,
    leftovers,
    users,
  }
}

/** Holds what stays of the chain; where it went meanwhile, what is to be done is another, and decided again. */
async function lookAndHold(options: RepairOptions, leased: Backend, first: Looked): Promise<Looked> {
  const { planned, signal = new AbortController().signal } = options
  const { plan } = planned
  const snapshotter = leased.snapshotter(plan.snapshotter)
  let look = first
  for (let tries = 1; tries < LOOKS && !(await leaseKept(snapshotter, plan, look.decision, signal)); tries++) {
    look = await lookAt(options)
  }
  return look
}

/** Whether the snapshot is there; one that went meanwhile is unpacked instead. */
async function updateLabels(
  backend: Backend,
  snapshotter: string,
  chainID: string,
  labels: Record<string, string>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await retry(() => backend.snapshotter(snapshotter).update(chainID, labels), { what: `label ${chainID}`, signal })
    return true
  } catch (error) {
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return false
    throw error
  }
}

function checkRequiredLabels({ planned: { plan } }: RepairOptions): void {
  for (const { descriptor, labels } of plan.layers) {
    const lacking = plan.requires.filter((key) => !labels[key])
    if (lacking.length === 0) continue
    throw new LayercastError(
      'PLAN_LABEL_REQUIRED',
      `snapshotter ${plan.snapshotter} needs labels that the plan does not carry: ${lacking.join(', ')} of layer ${descriptor.digest}`,
      { fix: 'Make the plan again with its labels on (no --labels off).', detail: { lacking } },
    )
  }
}
