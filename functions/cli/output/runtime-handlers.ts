/** What an unpack for runtime handlers did, or would do, under each snapshotter. */

import { LayercastError } from '../../errors.ts'
import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { RuntimeHandlerTarget } from '../../runner/runtime-handlers/targets.ts'
import type { UnpackResult } from '../../runner/unpack/types.ts'
import { errorData } from '../program/failure.ts'
import { count, printable } from '../program/text.ts'
import { warningText } from './plan.ts'
import { dryRunText, unpackText, type DryRunReport } from './unpack.ts'

/** What was done, or would be done, with one image under one snapshotter. */
export interface HandlerEntry {
  target: RuntimeHandlerTarget
  /** The image that was asked for, or the pause image of its pods. */
  role: 'image' | 'sandbox'
  reference: string
  /** Whether the image is imported from a source, and is not on the node. */
  fromSource: boolean
  /** Undefined where the snapshotter cannot be used. */
  planned: Planned | undefined
  /** Warnings about the handlers' configuration. Those of the plan or the unpack are added in the report. */
  warnings: PlanWarning[]
  result?: UnpackResult
  dryRun?: DryRunReport
  error: LayercastError | undefined
}

/** The entries as JSON has them. */
export function handlersReport(entries: readonly HandlerEntry[]): object[] {
  return entries.map((entry) => ({
    snapshotter: entry.target.snapshotter,
    handlers: entry.target.handlers,
    role: entry.role,
    reference: entry.reference,
    plan: entry.planned?.digest,
    ...entry.result,
    ...entry.dryRun,
    warnings: warningsOf(entry),
    error: entry.error && errorData(entry.error),
  }))
}

/** The entries as text, under one heading for each snapshotter. */
export function handlersReportText(entries: readonly HandlerEntry[]): string {
  return entries
    .map((entry, index) => {
      const { snapshotter, handlers } = entry.target
      const first = entries[index - 1]?.target !== entry.target
      const head = `${snapshotter}: ${handlers.length === 1 ? 'handler' : 'handlers'} ${handlers.join(', ')}`
      return `${first ? `${printable(head)}\n\n` : ''}${entryText(entry)}`
    })
    .join('\n')
}

function entryText(entry: HandlerEntry): string {
  const { planned, result, dryRun, error, reference } = entry
  const warnings = warningsOf(entry)
  const fix = error?.fix === undefined ? '' : `  fix: ${printable(error.fix)}\n`
  const failed = error === undefined ? '' : `${printable(`${reference}: ${error.message} (${error.code})`)}\n${fix}`
  if (planned !== undefined && result !== undefined) return unpackText(planned, { ...result, warnings })
  if (planned !== undefined && dryRun !== undefined) {
    return `${dryRunText({ ...planned, plan: { ...planned.plan, warnings } }, dryRun)}${failed}`
  }
  return `${failed}${warningText(warnings)}`
}

function warningsOf({ warnings, result, planned }: HandlerEntry): PlanWarning[] {
  return [...warnings, ...(result?.warnings ?? planned?.plan.warnings ?? [])]
}

/**
 * The error that the program ends with after its report: the only one, or the one with the highest exit status, with the
 * messages of all; undefined where nothing failed.
 */
export function worstOf(entries: readonly HandlerEntry[]): LayercastError | undefined {
  const errors = [...new Set(entries.flatMap(({ error }) => (error === undefined ? [] : [error])))]
  const [worst] = errors.toSorted((a, b) => b.exit - a.exit)
  if (worst === undefined || errors.length === 1) return worst
  const failed = entries.filter(({ error }) => error !== undefined)
  const snapshotters = [...new Set(failed.map(({ target }) => target.snapshotter))]
  return new LayercastError(
    worst.code,
    `${failed.length} of ${count(entries.length, 'unpack')} failed, under ${snapshotters.join(', ')}: ${errors.map(({ message }) => message).join('; ')}`,
    {
      cause: new AggregateError(errors),
      fix: worst.fix,
      detail: { errors: errors.map((error) => errorData(error)) },
    },
  )
}
