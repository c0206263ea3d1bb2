import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
/** Carrying out a plan before the user's eyes: what `unpack` and `apply` share. */
import type { Digest } from '../../image/digest.ts'
import type { Planned } from '../../plan/document.ts'
import { originText } from '../../runner/blobs/origin.ts'
import type { BlobProviderOptions } from '../../runner/blobs/types.ts'
import type { DryRun } from '../../runner/unpack/dry-run.ts'
import type { ApplierChoice, UnpackEvent, UnpackResult } from '../../runner/unpack/types.ts'
import { dryRunText, unpackText } from '../output/unpack.ts'
import type { Context } from '../program/context.ts'
import { createProgress } from '../program/progress.ts'
import { shortDigest } from '../program/text.ts'

export interface UnpackingOptions {
  applier?: string | undefined
  /** One layer after the other, also where they could be written side by side. */
  sequential?: boolean
  /** Where missing blobs may come from. */
  source?: readonly string[]
  fromSnapshotter?: string | undefined
}

/** The ways to missing blobs, as the options say. */
export function blobWays({ source, fromSnapshotter }: UnpackingOptions): BlobProviderOptions {
  return {
    ...(source !== undefined && { sources: source }),
    ...(fromSnapshotter !== undefined && { fromSnapshotter }),
  }
}

/** Unpacks, drawing bars on a terminal, and prints what became of each layer. Errors as `unpack` of the runner. */
export async function unpackPlan(context: Context, planned: Planned, options: UnpackingOptions): Promise<void> {
  const result = await runUnpack(context, planned, options)
  await context.show(result, () => unpackText(planned, result))
}

/** The same without printing the result. */
export async function runUnpack(context: Context, planned: Planned, options: UnpackingOptions): Promise<UnpackResult> {
  const { unpack } = await import('../../runner/unpack/unpack.ts')
  const progress = createProgress(context.streams)
  try {
    return await unpack({
      backend: await context.backend(),
      planned,
      blobs: blobWays(options),
      sequential: options.sequential ?? false,
      signal: context.signal,
      onEvent: (event) => show(context, progress.set, planned, event),
      // The parser has checked it against the option's choices.
      ...(options.applier !== undefined && { applier: options.applier as ApplierChoice }),
    })
  } finally {
    progress.end()
  }
}

/** What a dry run found. */
export interface DryRunReport extends DryRun {
  /** Blobs that an unpack would import first. */
  toImport: readonly Digest[]
}

interface DryRunOptions extends UnpackingOptions {
  /** Whether an unpack would import the image's blobs first, so that none of them is missing. */
  fromSource: boolean
}

/**
 * Looks at what an unpack would meet and says what it would do.
 *
 * @throws LayercastError BLOB_NOT_FOUND after the report, where the unpack would be refused
 */
export async function dryRunPlan(context: Context, planned: Planned, options: DryRunOptions): Promise<void> {
  const report = await runDryRun(context, planned, options)
  const { reference, snapshotter, chainID, warnings } = planned.plan
  const head = { plan: planned.digest, reference, snapshotter, chainID }
  await context.show({ ...head, ...report, warnings }, () => dryRunText(planned, report))
  const refused = refusalOf(report)
  if (refused !== undefined) throw refused
}

/** The same without printing the report. */
export async function runDryRun(context: Context, { plan }: Planned, options: DryRunOptions): Promise<DryRunReport> {
  const { dryRun } = await import('../../runner/unpack/dry-run.ts')
  const { signal } = context
  const found = await dryRun({ backend: await context.backend(), plan, blobs: blobWays(options), signal })
  return options.fromSource ? { ...found, missing: [], toImport: found.missing } : { ...found, toImport: [] }
}

/** Why an unpack would be refused; undefined where it would not. */
export function refusalOf({ missing, problems, fixes }: DryRunReport): LayercastError | undefined {
  if (missing.length === 0) return undefined
  return new LayercastError(
    'BLOB_NOT_FOUND',
    [`an unpack would be refused: the node does not have ${missing.join(', ')}`, ...problems].join('; '),
    { fix: blobFix(fixes), detail: { digests: missing, ...(problems.length > 0 && { problems }) } },
  )
}

function show(
  context: Context,
  set: ReturnType<typeof createProgress>['set'],
  { plan }: Planned,
  event: UnpackEvent,
): void {
  if (event.type === 'layer' || event.type === 'progress') {
    const total = plan.layers[event.index]?.descriptor.size ?? 0
    const label = `layer ${event.index + 1}/${plan.layers.length} ${shortDigest(event.digest)}`
    if (event.type === 'progress') set(String(event.index), { label, state: 'applying', done: event.bytes, total })
    else if (event.step === 'done')
      set(String(event.index), { label, state: event.state ?? 'done', done: total, total })
    else set(String(event.index), { label, state: event.step, done: 0, total })
  }
  if (event.type === 'layer')
    context.detail(`layer ${event.index + 1}: ${event.step}${event.state ? ` (${event.state})` : ''}`)
  if (event.type === 'origin') context.detail(`layer ${event.index + 1}: ${originText(event.origin)}`)
  if (event.type === 'lease') context.detail(`lease ${event.id} ${event.step}`)
  if (event.type === 'retry') context.note(`layercast: ${event.what} failed, trying again in ${event.waitMs} ms`)
}
