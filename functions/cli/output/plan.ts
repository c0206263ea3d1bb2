/** A plan as a person reads it. */
import { formatPlatform } from '../../image/platform.ts'
import type { PlanLayer, PlanWarning, Planned } from '../../plan/document.ts'
import { fields, table, type Column } from '../program/table.ts'
import { bytes, count, shortDigest, shortLabel } from '../program/text.ts'

export const LAYER_COLUMNS: readonly Column<PlanLayer>[] = [
  { title: 'LAYER', value: ({ descriptor }) => shortDigest(descriptor.digest) },
  { title: 'SIZE', value: ({ descriptor }) => bytes(descriptor.size), align: 'right' },
  { title: 'CHAIN ID', value: ({ chainID }) => shortDigest(chainID) },
]

/** What the plan is of, its layers with their labels, and its warnings. */
export function planText({ plan, digest }: Planned): string {
  const head = fields([
    ['reference', plan.reference],
    ['platform', formatPlatform(plan.platform)],
    [
      'snapshotter',
      plan.profile === plan.snapshotter ? plan.snapshotter : `${plan.snapshotter} (profile ${plan.profile})`,
    ],
    ['manifest', plan.manifest.digest],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['plan', digest],
  ])
  const layers = table(plan.layers, [
    ...LAYER_COLUMNS,
    { title: 'BLOB', value: ({ blob }) => blob },
    { title: 'LABELS', value: ({ labels }) => labelKeys(labels) },
  ])
  return `${head}${plan.layers.length > 0 ? `\n${layers}` : ''}${warningText(plan.warnings)}`
}

/** The keys of a layer's labels, as short as they are still known by. */
export function labelKeys(labels: Readonly<Record<string, string>>): string {
  const keys = Object.keys(labels).map(shortLabel)
  const cri = keys.filter((key) => key.startsWith('cri.'))
  const others = keys.filter((key) => !key.startsWith('cri.'))
  // Four keys that say the same of every layer would fill the line and hide the ones that differ.
  return [...(cri.length > 0 ? [`cri.* (${cri.length})`] : []), ...others].join(' ')
}

/** Warnings, a line each, after a blank one; nothing where there are none. */
export function warningText(warnings: readonly PlanWarning[]): string {
  if (warnings.length === 0) return ''
  return `\n${count(warnings.length, 'warning')}\n${fields(warnings.map(({ code, detail }) => [`  ${code}`, detail]))}`
}
