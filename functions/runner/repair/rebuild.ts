import { hasCode } from '../../image/errors.ts'
import type { Plan } from '../../plan/document.ts'
import type { Backend, Snapshotter } from '../ports.ts'
import { cleanUp } from '../unpack/cleanup.ts'
import { extractKey, removeIfThere, statOrNone } from '../unpack/snapshots.ts'
import type { UnpackEvent } from '../unpack/types.ts'
import { gcLabel } from '../verify/gc-label.ts'
import type { Decision, Removal } from './decide.ts'
import { removeSnapshot } from './remove.ts'
import type { RepairEvent } from './types.ts'
import { inUse, usersOf } from './users.ts'

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
 * 1. The part that stays is under the lease (`holdKept`), because what keeps it is about to change.
 * 2. The config's gc label is pointed at that part, or taken away where nothing stays, before anything is removed. A label
 *    that named a chain of which the top is gone would say that it is whole, and would hold nothing: the collector takes
 *    what is below a removed top. So after a kill the label holds just what is good, also when the lease has ended.
 * 3. What nothing refers to now is what is to go: the collector may take it beside this, and that is as good.
 *
 * A container that came since the check stands on the top, which cannot be removed then, nor collected: the label is set
 * back, and SNAPSHOT_IN_USE names it. What was removed until then is made again by the next run.
 */
export async function removeUpper(options: RemoveOptions): Promise<void> {
  const { leased, plan, decision, leftovers, signal, emit } = options
  const snapshotter = leased.snapshotter(plan.snapshotter)
  const lowest = lowestOf(decision)
  const key = gcLabel(plan.snapshotter)
  const before = (await leased.content.info(plan.config.digest)).labels[key] ?? ''
  await leased.content.label(plan.config.digest, { [key]: plan.layers[lowest - 1]?.chainID ?? '' })
  emit({ type: 'gc-label', step: 'lowered' })
  let top: Removal | undefined = decision.remove[0]
  try {
    for (const leftover of leftovers) {
      await removeSnapshot(snapshotter, leftover, signal, emit as (event: UnpackEvent) => void)
      emit({ type: 'leftover', key: leftover })
    }
    for (const removal of decision.remove) {
      await removeSnapshot(snapshotter, removal.chainID, signal, emit as (event: UnpackEvent) => void)
      emit({ type: 'removed', removal })
      top = undefined
    }
  } catch (error) {
    const steps =
      top === undefined ? [] : [{ what: 'set the gc label back', run: () => restore(leased, plan, before, emit) }]
    throw await cleanUp(await explain(leased, plan, decision, error), steps)
  }
  await settle(leased)
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
 * Puts the part of the chain that stays under the lease: containerd answers AlreadyExists to a Prepare whose snapshot.ref it
 * knows, and adds that snapshot to the lease. False where the collector was faster, which happens where the part above
 * stands elsewhere, so that nothing referred to this one any more.
 */
export async function holdKept(snapshotter: Snapshotter, plan: Plan, decision: Decision): Promise<boolean> {
  const layer = decision.remove.length === 0 ? undefined : plan.layers[lowestOf(decision) - 1]
  if (layer === undefined) return true
  const key = extractKey(layer.chainID)
  try {
    await snapshotter.prepare(key, layer.parent, { ...layer.labels })
  } catch (error) {
    if (hasCode(error, 'ALREADY_EXISTS')) return (await statOrNone(snapshotter, layer.chainID)) !== undefined
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return false
    throw error
  }
  await removeIfThere(snapshotter, key)
  return false
}

function lowestOf({ remove }: Decision): number {
  return Math.min(...remove.map(({ index }) => index))
}

/**
 * Returns when the garbage collector has been through. containerd removes a snapshot from its own books at once and has
 * the snapshotter remove it later: until then a remote one would answer a Prepare with what it had before.
 */
async function settle(backend: Backend): Promise<void> {
  const { id } = await backend.leases.create()
  await backend.leases.delete(id, { sync: true })
}
