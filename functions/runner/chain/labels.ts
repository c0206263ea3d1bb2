/** Compares the labels of a snapshot with those of a plan. */
import { LABEL, SNAPSHOT_PREFIX } from '../../image/label-names.ts'
import type { Labels } from '../../node/ports.ts'
import { isOneOf } from '../../plan/profiles.ts'

/** How the labels of a snapshot differ from those of a plan. */
export interface LabelDifference {
  missing: string[]
  different: { key: string; expected: string; actual: string }[]
  /** Labels of the kinds that plans write, and that this plan does not have: the snapshot was made for another plan. */
  extra: string[]
}

/** The labels that plans write, whatever the image's annotations are. */
const PLANS_OWN: ReadonlySet<string> = new Set(Object.values(LABEL))

/**
 * Compares label by label. An empty value is the same as no label, because containerd stores none
 * (functions/node/containerd/FACTS.md section 3). Labels that the snapshotter itself writes are not compared, even where an
 * annotation of the image has one.
 * @param writes the patterns of those labels, from the profile
 */
export function compareLabels(expected: Labels, actual: Labels, writes: readonly string[]): LabelDifference {
  const wanted = Object.entries(expected).filter(([key, value]) => value !== '' && !isOneOf(writes, key))
  const different = wanted.flatMap(([key, value]) => {
    const found = actual[key]
    return found && found !== value ? [{ key, expected: value, actual: found }] : []
  })
  return {
    missing: wanted.filter(([key]) => !actual[key]).map(([key]) => key),
    different,
    extra: Object.keys(actual).filter((key) => PLANS_OWN.has(key) && actual[key] !== '' && !expected[key]),
  }
}

/**
 * The labels for the snapshotter that neither the plan nor the profile knows: another tool's, or a newer snapshotter's own. They are
 * reported and never removed, because that may do harm.
 */
export function unplannedLabels(expected: Labels, actual: Labels, writes: readonly string[]): string[] {
  return Object.keys(actual).filter(
    (key) =>
      key.startsWith(SNAPSHOT_PREFIX) &&
      actual[key] !== '' &&
      !expected[key] &&
      !PLANS_OWN.has(key) &&
      !isOneOf(writes, key),
  )
}

/** Whether nothing differs. */
export function isSame({ missing, different, extra }: LabelDifference): boolean {
  return missing.length === 0 && different.length === 0 && extra.length === 0
}
