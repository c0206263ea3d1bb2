/** What differs between two plans, or between a plan and the labels of a snapshot. */
import { canonicalize } from './canonical.ts'
import type { Plan, PlanLayer } from './document.ts'

/** One thing in which two plans differ. Texts are shown as they are, everything else as canonical JSON. */
export interface PlanChange {
  /** The layer, counted from the bottom; undefined for the plan's own fields. */
  layer: number | undefined
  /** The field: `snapshotter`, `diffID`, `blob`, or a label as `labels["key"]`. */
  field: string
  /** What the first plan has; undefined when it lacks it. */
  from: string | undefined
  to: string | undefined
}

const PLAN_FIELDS = [
  'reference',
  'snapshotter',
  'profile',
  'platform',
  'manifest',
  'config',
  'chainID',
  'requires',
  'warnings',
] as const satisfies (keyof Plan)[]
const LAYER_FIELDS = ['descriptor', 'diffID', 'chainID', 'parent', 'blob'] as const satisfies (keyof PlanLayer)[]

/** What differs between two plans, the plan's own fields first, then layer by layer. Empty for equal plans. */
export function diffPlans(from: Plan, to: Plan): PlanChange[] {
  const layers = Array.from({ length: Math.max(from.layers.length, to.layers.length) }, (_, index) =>
    diffLayers(index, from.layers[index], to.layers[index]),
  )
  return [...changes(undefined, pick(from, PLAN_FIELDS), pick(to, PLAN_FIELDS)), ...layers.flat()]
}

/** What differs between the labels of one snapshot and those that a plan gives it, or between those of two plans. */
export function diffLabels(
  layer: number,
  from: Readonly<Record<string, string>>,
  to: Readonly<Record<string, string>>,
): PlanChange[] {
  return changes(layer, from, to, (key) => `labels[${JSON.stringify(key)}]`)
}

function diffLayers(index: number, from: PlanLayer | undefined, to: PlanLayer | undefined): PlanChange[] {
  const fields = changes(index, pick(from, LAYER_FIELDS), pick(to, LAYER_FIELDS))
  return [...fields, ...diffLabels(index, from?.labels ?? {}, to?.labels ?? {})]
}

function changes(
  layer: number | undefined,
  from: Readonly<Record<string, string>>,
  to: Readonly<Record<string, string>>,
  name: (field: string) => string = (field) => field,
): PlanChange[] {
  const fields = [...new Set([...Object.keys(from), ...Object.keys(to)])]
  return fields
    .filter((field) => from[field] !== to[field])
    .map((field) => ({ layer, field: name(field), from: from[field], to: to[field] }))
}

function pick<T extends object>(value: T | undefined, fields: readonly (keyof T & string)[]): Record<string, string> {
  if (value === undefined) return {}
  return Object.fromEntries(fields.map((field) => [field, text(value[field])]))
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : canonicalize(value)
}
