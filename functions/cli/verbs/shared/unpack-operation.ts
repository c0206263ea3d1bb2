/** An unpack, or its dry run, with progress bars and its report: what `unpack` and `apply` do with a plan. */

import { LayercastError } from '../../../errors.ts'
import { blobFix } from '../../../image/blob-fixes.ts'
import type { Planned } from '../../../plan/document.ts'
import { originText } from '../../../runner/blobs/origin.ts'
import type { BlobProviderOptions } from '../../../runner/blobs/types.ts'
import type { ApplierChoice, UnpackEvent, UnpackResult } from '../../../runner/unpack/types.ts'
import { dryRunText, unpackText, type DryRunReport } from '../../output/unpack.ts'
import type { Context } from '../../program/context.ts'
import { createProgress, type Progress } from '../../program/progress.ts'
import { shortDigest } from '../../program/text.ts'
import { tellOperation } from './operation-events.ts'

/** The options that say how layers are made, as the command line gives them. */
export interface UnpackFlags {
  applier?: ApplierChoice | undefined
  /** One layer after the other, also where several could be written at once. */
  sequential?: boolean | undefined
  /** Where missing blobs may come from. */
  source?: readonly string[] | undefined
  fromSnapshotter?: string | undefined
}

interface DryRunFlags extends UnpackFlags {
  /** Whether an unpack would import the image's blobs first, so that none of them is missing. */
  fromSource: boolean
}

/** Where the runner may take missing blobs from. */
export function blobProviderOptions({ source, fromSnapshotter }: UnpackFlags): BlobProviderOptions {
  return { sources: source, fromSnapshotter }
}

/** Unpacks and prints what was done with each layer. Errors as `unpack` of the runner. */
export async function unpackPlan(context: Context, planned: Planned, options: UnpackFlags): Promise<void> {
  const result = await runUnpack(context, planned, options)
  await context.show(result, () => unpackText(planned, result))
}

/** Unpacks with progress bars on a terminal, and prints nothing at the end. Errors as `unpack` of the runner. */
export async function runUnpack(context: Context, planned: Planned, options: UnpackFlags): Promise<UnpackResult> {
  const { unpack } = await import('../../../runner/unpack/unpack.ts')
  const progress = createProgress(context.streams)
  try {
    return await unpack({
      backend: await context.backend(),
      planned,
      blobs: blobProviderOptions(options),
      applier: options.applier,
      sequential: options.sequential,
      signal: context.signal,
      onEvent: (event) => {
        drawLayer(progress, planned, event)
        tell(context, event)
      },
    })
  } finally {
    progress.end()
  }
}

/**
 * Prints what an unpack would do with what is there. Changes nothing.
 *
 * @throws LayercastError BLOB_NOT_FOUND after the report, where the unpack would be refused
 */
export async function dryRunPlan(context: Context, planned: Planned, options: DryRunFlags): Promise<void> {
  const report = await runDryRun(context, planned, options)
  const { reference, snapshotter, chainID, warnings } = planned.plan
  const head = { plan: planned.digest, reference, snapshotter, chainID }
  await context.show({ ...head, ...report, warnings }, () => dryRunText(planned, report))
  const refused = refusalOf(report)
  if (refused !== undefined) throw refused
}

/** Fails where the snapshotter does not exist or is not ready, and where `--source` or `--from-snapshotter` cannot be used. Errors as `checkPlace`. */
export async function checkBeforeImport(context: Context, { plan }: Planned, options: UnpackFlags): Promise<void> {
  const { checkPlace } = await import('../../../runner/unpack/preflight.ts')
  const { signal } = context
  await checkPlace({ backend: await context.backend(), plan, blobs: blobProviderOptions(options), signal })
}

/** Finds what an unpack would do, and prints nothing. Changes nothing. */
export async function runDryRun(context: Context, { plan }: Planned, options: DryRunFlags): Promise<DryRunReport> {
  const { dryRun } = await import('../../../runner/unpack/dry-run.ts')
  const { signal } = context
  const found = await dryRun({ backend: await context.backend(), plan, blobs: blobProviderOptions(options), signal })
  return options.fromSource ? { ...found, missing: [], toImport: found.missing } : { ...found, toImport: [] }
}

/** The error with which an unpack would be refused; undefined where it would not. */
export function refusalOf({ missing, problems, fixes }: DryRunReport): LayercastError | undefined {
  if (missing.length === 0) return undefined
  return new LayercastError(
    'BLOB_NOT_FOUND',
    [`an unpack would be refused: the node does not have ${missing.join(', ')}`, ...problems].join('; '),
    { fix: blobFix(fixes), detail: { digests: missing, ...(problems.length > 0 && { problems }) } },
  )
}

function drawLayer({ set }: Progress, { plan }: Planned, event: UnpackEvent): void {
  if (event.type !== 'layer' && event.type !== 'progress') return
  const key = String(event.index)
  const total = plan.layers[event.index]?.descriptor.size ?? 0
  const label = `layer ${event.index + 1}/${plan.layers.length} ${shortDigest(event.digest)}`
  if (event.type === 'progress') set(key, { label, state: 'applying', done: event.bytes, total })
  else if (event.step === 'done') set(key, { label, state: event.state ?? 'done', done: total, total })
  else set(key, { label, state: event.step, done: 0, total })
}

function tell(context: Context, event: UnpackEvent): void {
  switch (event.type) {
    case 'layer':
      return context.detail(`layer ${event.index + 1}: ${event.step}${event.state ? ` (${event.state})` : ''}`)
    case 'origin':
      return context.detail(`layer ${event.index + 1}: ${originText(event.origin)}`)
    case 'lease':
    case 'retry':
      return tellOperation(context, event)
    default:
  }
}
