/** Counts the lazy layers of the chain for the result, and warns where there are none. */
import { statOrNone } from '../../node/or-none.ts'
import type { Backend, SnapshotInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import { countLazy, warnNothingLazy, type Lazy } from '../chain/lazy.ts'
import type { Emit } from './types.ts'

/** How many layers are lazy. Emits NOTHING_LAZY where a remote snapshotter has none. */
export function tellLazy(plan: Plan, infos: readonly (SnapshotInfo | undefined)[], emit: Emit): Lazy | undefined {
  for (const warning of warnNothingLazy(plan, infos)) emit({ type: 'warning', ...warning })
  return countLazy(plan, infos)
}

/** As `tellLazy`, for a chain whose snapshots were not read yet. Reads none under snapshotters that unpack every layer. */
export async function lookWhatIsLazy(backend: Backend, plan: Plan, emit: Emit): Promise<Lazy | undefined> {
  if (profileOf(plan).lazyLabels.length === 0) return undefined
  const snapshotter = backend.snapshotter(plan.snapshotter)
  return tellLazy(plan, await Promise.all(plan.layers.map(({ chainID }) => statOrNone(snapshotter, chainID))), emit)
}
