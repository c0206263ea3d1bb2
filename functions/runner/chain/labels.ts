import { LABEL, SNAPSHOT_PREFIX } from '../../image/label-names.ts'
import type { Labels } from '../../node/ports.ts'
import { isOneOf } from '../../plan/profiles.ts'

/** How the labels of a snapshot differ from those that a plan wants. */
export interface LabelDifference {
  missing: string[]
  different: { key: string; expected: string; actual: string }[]
  /** Of those that every plan writes or leaves away on purpose, and not in this one: it was made for something else. */
  extra: string[]
}

/** What plans make by themselves, whatever the image says. */
const PLANS_OWN: ReadonlySet<string> = new Set(Object.values(LABEL))

/**
 * Compares label by label. An empty value is as good as none: containerd drops it (containerd/FACTS.md section 3). What the
 * snapshotter writes by itself is never compared, whatever an image's annotations say of it.
 * @param writes the profile's: labels that the snapshotter writes
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
 * Labels of the kind that reaches a snapshotter which neither the plan nor the profile knows: another tool's, or a newer
 * snapshotter's own. To take one away may do harm, so they are told and left alone.
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
