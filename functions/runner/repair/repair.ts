/** Makes a chain as its plan says, in whatever state it is. */
import { hasCode } from '../../errors.ts'
import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import type { Backend } from '../../node/ports.ts'
import { checkRequiredLabels } from '../chain/required-labels.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind, removeUnfinished } from '../operation/left-behind.ts'
import type { UnpackResult } from '../unpack/types.ts'
import { unpack } from '../unpack/unpack.ts'
import { compareTree } from '../verify/compare-tree.ts'
import { verifyChain } from '../verify/verify.ts'
import { fetchBlobs, findBlobs, healBlobs, withProviders } from './blobs.ts'
import { nothingToDo, type LabelUpdate } from './decide.ts'
import { findings, findingsUnderLease, type FindingsAndUsers } from './findings.ts'
import { withRepairLock } from './lock.ts'
import { removeLayers } from './remove-layers.ts'
import type { RepairDryRun, RepairEvent, RepairFindings, RepairOptions, RepairResult } from './types.ts'
import { inUse } from './users.ts'

/**
 * What a repair would do, and why it would be refused. Changes nothing. Errors as `verifyChain`, and with `deep` as `compareTree`.
 */
export async function dryRunRepair(options: RepairOptions): Promise<RepairDryRun> {
  const found = await findings(options)
  return await withProviders(options, async (providers) => {
    const { missing } = await findBlobs(options, found, providers)
    const { problems, fixes } = providers.complaints()
    return { ...found, missing, problems, fixes }
  })
}

/**
 * Repairs one chain. Labels are changed in place where that is enough; otherwise snapshots are removed from the top down and
 * unpacked again. Missing layers are unpacked, and the gc label is written. Safe to kill at any instruction and to run again.
 *
 * Errors before anything is changed: SNAPSHOT_IN_USE with `detail.users` where a container or another image uses a snapshot that
 * must be made again; BLOB_NOT_FOUND; PLAN_LABEL_REQUIRED; ALREADY_EXISTS where another repair is at work; with `deep`,
 * TREE_NOT_ON_NODE. Later: as `unpack`. The result says whether everything is as planned now.
 */
export async function repairChain(options: RepairOptions): Promise<RepairResult> {
  const { backend, planned, signal = new AbortController().signal } = options
  const { plan } = planned
  const started = performance.now()
  const emit = (event: RepairEvent): void => options.onEvent?.(event)
  checkAborted(signal)
  checkRequiredLabels(plan)
  return await withRepairLock(backend, plan, emit, async () => {
    const healed = await healBlobs(options)
    let first = await findings(options)
    if (first.decision.remove.length > 0) {
      // A view that a killed process left on a snapshot would keep it from being removed.
      await removeUnfinished(backend, emit)
      first = await findings(options)
    }
    if (nothingToDo(first.decision)) {
      await dropLeftBehind(backend, emit)
      const { users: _, ...found } = first
      const { before, tree } = found
      const rest = { after: before, ...(tree ? { treeAfter: tree } : {}), ms: performance.now() - started }
      return { ...found, healed, ok: before.ok && (tree?.ok ?? true), ...rest }
    }
    const done = await underLease(backend, { purpose: 'repair', signal, emit }, (leased) =>
      repairUnderLease(options, leased, first),
    )
    const treeAfter = options.deep ? await compareTree({ ...options, plan }) : undefined
    const after = await verifyChain({ backend, plan })
    const ok = after.ok && (treeAfter?.ok ?? true)
    return { ...done, healed, ok, after, ...(treeAfter ? { treeAfter } : {}), ms: performance.now() - started }
  })
}

/** Does what was decided. The order matters: all that can refuse the repair comes before the first change. */
async function repairUnderLease(
  options: RepairOptions,
  leased: Backend,
  first: FindingsAndUsers,
): Promise<RepairFindings & { unpacked: UnpackResult }> {
  const { backend, planned, applier, blobs, signal = new AbortController().signal } = options
  const { plan } = planned
  const emit = (event: RepairEvent): void => options.onEvent?.(event)
  const { users, ...found } = await findingsUnderLease(options, leased, first)
  const { decision, leftovers } = found
  if (users.length > 0) throw inUse(plan, decision.remove.length, users)
  await withProviders(options, (providers) => fetchBlobs(options, found, providers, leased))
  for (const update of decision.update) {
    checkAborted(signal)
    if (await updateLabels(leased, plan.snapshotter, update, signal)) emit({ type: 'labels', update })
  }
  if (decision.remove.length > 0) await removeLayers({ leased, plan, decision, leftovers, signal, emit })
  // The unpack takes a lease of its own before this one ends.
  const unpacked = await unpack({ backend, planned, applier, blobs, signal, onEvent: emit })
  return { ...found, unpacked }
}

/** Returns whether the snapshot is there. One that vanished meanwhile is unpacked instead. */
async function updateLabels(
  backend: Backend,
  snapshotter: string,
  { chainID, labels }: LabelUpdate,
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
