import { hasCode } from '../../errors.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import type { Backend, Snapshotter } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { gcLabel } from '../chain/gc-label.ts'
import { leaseExisting } from '../chain/lease-existing.ts'
import { checkCollected, removeHeld } from '../chain/removal.ts'
import { removalLease, underLease } from '../operation/lease.ts'
import type { Decision } from './decide.ts'
import type { RepairEvent } from './types.ts'
import { inUse, usersOf } from './users.ts'

/** As long as the removal of the longest chain may take, with a collector that is slow. */
const LEASE_SECONDS = 60 * 60

export interface RemoveOptions {
  /** Under the repair's lease. */
  leased: Backend
  plan: Plan
  decision: Decision
  leftovers: readonly string[]
  signal: AbortSignal
  emit: (event: RepairEvent) => void
}

/**
 * Removes the upper part of a chain, from the top down, so that a kill at any instruction leaves what a run of unpack or
 * repair mends:
 *
 * 1. The part that stays is under the repair's lease (`leaseKept`), because what keeps it is about to change. The part that
 *    goes is under one of its own, so that the collector does not take it piece by piece (see `removeSnapshots`).
 * 2. The config's gc label is pointed at the part that stays, or taken away where nothing does, before anything is removed.
 *    A label that named a chain of which the top is gone would say that it is whole, and would hold nothing. So after a
 *    kill the label holds just what is good, also when the leases have ended.
 * 3. What is removed goes by name, or, from a snapshot on that has a ghost of a child, with the collector, which the end of
 *    the lease calls: nothing refers to it now. That the collector has been through also matters to remote snapshotters:
 *    until then they would answer a Prepare with what they had before.
 *
 * A container that came since the check stands on the top, which cannot be removed then, nor collected: the label is set
 * back, and SNAPSHOT_IN_USE names it. What was removed until then is made again by the next run.
 */
export async function removeLayers(options: RemoveOptions): Promise<void> {
  const { leased, plan, decision, leftovers, signal, emit } = options
  const snapshotter = leased.snapshotter(plan.snapshotter)
  const names = decision.remove.map(({ chainID }) => chainID)
  const key = gcLabel(plan.snapshotter)
  let before = ''
  let topRemoved = false
  const removed = (name: string): void => {
    const removal = decision.remove.find(({ chainID }) => chainID === name)
    if (removal === undefined) return emit({ type: 'leftover', key: name })
    topRemoved = true
    emit({ type: 'removed', removal })
  }
  const undo = async (error: unknown): Promise<unknown> => {
    const steps = topRemoved ? [] : [{ what: 'set the gc label back', run: () => restore(leased, plan, before, emit) }]
    return await cleanUp(await explain(leased, plan, decision, error), steps)
  }
  const lease = removalLease({ expiresInSeconds: LEASE_SECONDS, signal, emit })
  const left = await underLease(leased, lease, async (_, id) => {
    await leased.leases.hold(id, plan.snapshotter, names)
    before = (await leased.content.info(plan.config.digest)).labels[key] ?? ''
    await leased.content.label(plan.config.digest, { [key]: plan.layers[lowestOf(decision) - 1]?.chainID ?? '' })
    emit({ type: 'gc-label', step: 'lowered' })
    try {
      const all = { names: [...leftovers, ...names], signal, emit, onRemoved: removed }
      return await removeHeld(snapshotter, all)
    } catch (error) {
      // Before the lease ends, with which the collector comes.
      throw await undo(error)
    }
  })
  try {
    await checkCollected(leased, snapshotter, left)
  } catch (error) {
    throw await undo(error)
  }
  for (const name of left) removed(name)
}

async function restore(leased: Backend, plan: Plan, label: string, emit: RemoveOptions['emit']): Promise<void> {
  await leased.content.label(plan.config.digest, { [gcLabel(plan.snapshotter)]: label })
  emit({ type: 'gc-label', step: 'restored' })
}

/** A refused removal with the reason by name, where it can be found. */
async function explain(leased: Backend, plan: Plan, { remove }: Decision, error: unknown): Promise<unknown> {
  if (!hasCode(error, 'FAILED_PRECONDITION')) return error
  const removed = new Set(remove.map(({ chainID }) => chainID))
  const { users } = await usersOf({ backend: leased, plan, removed, staleBefore: 0 })
  return users.length === 0 ? error : inUse(plan, remove.length, users)
}

/**
 * Puts the part of the chain that stays under the repair's lease. False where the collector was faster, which happens where
 * the part above stands elsewhere, so that nothing referred to this one any more.
 */
export async function leaseKept(
  snapshotter: Snapshotter,
  plan: Plan,
  decision: Decision,
  signal: AbortSignal,
): Promise<boolean> {
  const layer = decision.remove.length === 0 ? undefined : plan.layers[lowestOf(decision) - 1]
  return layer === undefined || (await leaseExisting(snapshotter, layer, signal))
}

function lowestOf({ remove }: Decision): number {
  return Math.min(...remove.map(({ index }) => index))
}
