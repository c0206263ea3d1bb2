/** A plan as a person reads it. */

import { formatPlatform } from '../../image/platform.ts'
import type { PlanLayer, PlanWarning, Planned } from '../../plan/document.ts'
import { fields, table, type Column } from '../program/table.ts'
import { bytes, count, shortDigest, shortLabel } from '../program/text.ts'

/** The columns that every table of layers starts with. */
export const LAYER_COLUMNS: readonly Column<PlanLayer>[] = [
  { title: 'LAYER', value: ({ descriptor }) => shortDigest(descriptor.digest) },
  { title: 'SIZE', value: ({ descriptor }) => bytes(descriptor.size), align: 'right' },
  { title: 'CHAIN ID', value: ({ chainID }) => shortDigest(chainID) },
]

/** What was planned, the layers with the keys of their labels, and the warnings. */
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

/** The keys of a layer's labels, without containerd's prefixes; the `cri.*` ones as a number. */
export function labelKeys(labels: Readonly<Record<string, string>>): string {
  const keys = Object.keys(labels).map(shortLabel)
  const cri = keys.filter((key) => key.startsWith('cri.'))
  const others = keys.filter((key) => !key.startsWith('cri.'))
  // The four cri labels are on every layer, and would fill the line.
  return [...(cri.length > 0 ? [`cri.* (${cri.length})`] : []), ...others].join(' ')
}

/** A blank line, the number of warnings, and one line for each; empty where there are none. */
export function warningText(warnings: readonly PlanWarning[]): string {
  if (warnings.length === 0) return ''
  return `\n${count(warnings.length, 'warning')}\n${fields(warnings.map(({ code, detail }) => [`  ${code}`, detail]))}`
}
