/** The demo's table of layers. */

import { LAYER_COLUMNS, labelKeys } from '../cli/output/plan.ts'
import { table } from '../cli/program/table.ts'
import { duration } from '../cli/program/text.ts'
import type { Plan } from '../plan/document.ts'
import type { UnpackResult } from '../runner/unpack/types.ts'

/** @param made what each layer is made of; empty for an image that the demo did not compose */
export function layerTable(plan: Plan, result: UnpackResult, made: readonly string[]): string {
  const rows = plan.layers.map((layer, index) => ({
    ...layer,
    made: made[index] ?? '',
    ms: result.layers[index]?.ms ?? 0,
  }))
  return table(rows, [
    ...LAYER_COLUMNS,
    { title: 'LABELS', value: ({ labels }) => labelKeys(labels) },
    { title: 'TIME', value: ({ ms }) => duration(ms), align: 'right' },
    ...(made.length > 0 ? [{ title: 'MADE OF', value: (row: (typeof rows)[number]) => row.made }] : []),
  ])
}
