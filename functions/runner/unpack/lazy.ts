/** Counts the lazy layers of the chain for the result, and warns where there are none. */
import type { SnapshotInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import { countLazy, warnNothingLazy, type Lazy } from '../chain/lazy.ts'
import type { Emit } from './types.ts'

/** How many layers are lazy. Emits NOTHING_LAZY where a remote snapshotter has none. */
export function tellLazy(plan: Plan, infos: readonly (SnapshotInfo | undefined)[], emit: Emit): Lazy | undefined {
  for (const warning of warnNothingLazy(plan, infos)) emit({ type: 'warning', ...warning })
  return countLazy(plan, infos)
}

/** Whether layers of the plan may be lazy: not under snapshotters that unpack every layer, or do not tell. */
export function mayBeLazy(plan: Plan): boolean {
  return profileOf(plan).lazyLabels.length > 0
}
