/** Removes the snapshots that a repair makes again, and keeps the ones below them. */
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

/** As long as the removal of the longest chain may take with a slow garbage collector. */
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
 * Removes the layers of `decision.remove`, from the top of the chain down. A kill at any instruction leaves a state that the next unpack
 * or repair mends:
 *
 * 1. The part of the chain that stays is under the repair's lease (`leaseKept`), because the gc label that keeps it is about to
 *    change. The part that is removed is under a lease of its own, so that the garbage collector does not remove it piece by piece
 *    (see `removeSnapshots`).
 * 2. Before anything is removed, the config's gc label is set to the top of the part that stays, or removed where nothing stays. A gc
 *    label that names a missing snapshot would say that the chain is whole, and keep nothing. With the lower label the good part is
 *    kept also after a kill, when the leases have ended.
 * 3. Snapshots are removed by name. From the first one on that has a ghost child, the garbage collector removes them, when the lease
 *    ends: nothing refers to them now. Remote snapshotters need that collection in any case, because until then they answer a
 *    Prepare with what they had before.
 *
 * A container that was created since the check uses the top, which then can be neither removed nor collected: the label is set back, and
 * SNAPSHOT_IN_USE names the container. What was removed until then is made again by the next run.
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
      // Before the lease ends, because the collector runs then.
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

/** The error of a refused removal: SNAPSHOT_IN_USE with all users, where there are any. */
async function explain(leased: Backend, plan: Plan, { remove }: Decision, error: unknown): Promise<unknown> {
  if (!hasCode(error, 'FAILED_PRECONDITION')) return error
  const removed = new Set(remove.map(({ chainID }) => chainID))
  const { users } = await usersOf({ backend: leased, plan, removed, staleBefore: 0 })
  return users.length === 0 ? error : inUse(plan, remove.length, users)
}

/**
 * Puts the part of the chain that stays under the repair's lease. False where the garbage collector was faster, which happens where
 * the part above is on another parent, so that nothing refers to this part.
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
