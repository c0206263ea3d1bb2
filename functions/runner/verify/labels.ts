import type { Labels } from '../ports.ts'

/** How the labels of a snapshot differ from those that a plan wants. */
export interface LabelDifference {
  missing: string[]
  different: { key: string; expected: string; actual: string }[]
  /** Of the kinds that a plan writes, and not in the plan. Others' labels are their own affair. */
  extra: string[]
}

const OURS = 'containerd.io/snapshot/'
const SNAPSHOT_REF = 'containerd.io/snapshot.ref'

/**
 * What snapshotters themselves write on the snapshots that they take: no plan's, and no difference. Most of them go by it
 * later, so that taking it away would do harm.
 */
const SNAPSHOTTERS_OWN: ReadonlySet<string> = new Set(
  [
    // stargz, soci, overlaybd, nydus.
    'remote',
    // nydus.
    'nydus-proxy-mode',
    'nydus-tarfs',
    'nydus-image-block',
    'nydus-layer-block',
    'nydus-index-alternative',
    'stargz',
    'pullsecret',
    'pullusername',
    // overlaybd.
    'overlaybd.localcommitpath',
    'overlaybd.writable',
    'type',
  ].map((name) => `${OURS}${name}`),
)

/** Compares label by label. An empty value is as good as none: containerd drops it (CONTAINERD-FACTS section 3). */
export function compareLabels(expected: Labels, actual: Labels): LabelDifference {
  const wanted = Object.entries(expected).filter(([, value]) => value !== '')
  const different = wanted.flatMap(([key, value]) => {
    const found = actual[key]
    return found && found !== value ? [{ key, expected: value, actual: found }] : []
  })
  return {
    missing: wanted.filter(([key]) => !actual[key]).map(([key]) => key),
    different,
    extra: Object.keys(actual).filter((key) => isPlans(key) && actual[key] !== '' && !expected[key]),
  }
}

/** Whether a plan may be where the label comes from. */
function isPlans(key: string): boolean {
  return (key.startsWith(OURS) && !SNAPSHOTTERS_OWN.has(key)) || key === SNAPSHOT_REF
}

/** Whether nothing differs. */
export function isSame({ missing, different, extra }: LabelDifference): boolean {
  return missing.length === 0 && different.length === 0 && extra.length === 0
}
