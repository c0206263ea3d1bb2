/** A repair, or its dry run, with progress bars and its report: what `repair` and `unpack --repair` do with a plan. */

import { LayercastError } from '../../../errors.ts'
import { blobFix } from '../../../image/blob-fixes.ts'
import type { Planned } from '../../../plan/document.ts'
import type { RepairDryRun, RepairEvent, RepairResult } from '../../../runner/repair/types.ts'
import { repairText, warningsOf } from '../../output/repair.ts'
import { treesNotCompared } from '../../output/verify.ts'
import type { Context } from '../../program/context.ts'
import { createProgress, type Progress } from '../../program/progress.ts'
import { shortDigest } from '../../program/text.ts'
import { tellOperation } from './operation-events.ts'
import { blobProviderOptions, type UnpackFlags } from './unpack-operation.ts'

type WarningEvent = Extract<RepairEvent, { type: 'warning' }>

/**
 * Repairs what a plan describes, or finds what would be done, and prints it.
 *
 * @throws LayercastError as `repairChain`; VERIFICATION_FAILED where something is still not as planned afterwards
 */
export async function repairPlan(
  context: Context,
  planned: Planned,
  options: UnpackFlags & { deep: boolean; contents: boolean; dryRun: boolean },
): Promise<void> {
  const { dryRunRepair, repairChain } = await import('../../../runner/repair/repair.ts')
  const repair = {
    backend: await context.backend(),
    planned,
    deep: options.deep,
    contents: options.contents,
    blobs: blobProviderOptions(options),
    signal: context.signal,
    applier: options.applier,
  }
  if (options.dryRun) {
    const found = await dryRunRepair(repair)
    await context.show({ ...found, warnings: planned.plan.warnings }, () => repairText(planned, found))
    const { inUse } = await import('../../../runner/repair/users.ts')
    if (found.users.length > 0) throw inUse(planned.plan, found.decision.remove.length, found.users)
    if (found.missing.length > 0) throw missingBlobs(found)
    return
  }
  const progress = createProgress(context.streams)
  const warnings: WarningEvent[] = []
  let result: RepairResult | undefined
  try {
    result = await repairChain({
      ...repair,
      onEvent: (event) => {
        drawLayer(progress, planned, event)
        if (event.type === 'warning') warnings.push(event)
        else tell(context, event)
      },
    })
  } finally {
    progress.end()
    // The report has those of the unpack.
    const reported = result === undefined ? [] : warningsOf(planned, result)
    for (const event of warnings) {
      if (!reported.some(({ code, detail }) => code === event.code && detail === event.detail)) {
        tellOperation(context, event)
      }
    }
  }
  await context.show({ ...result, warnings: warningsOf(planned, result) }, () => repairText(planned, result))
  if (!result.ok) throw stillWrong(planned, result)
  const { treeAfter } = result
  if (treeAfter !== undefined && treeAfter.notCompared.length > 0) throw treesNotCompared([treeAfter])
}

function drawLayer({ set }: Progress, { plan }: Planned, event: RepairEvent): void {
  if (event.type !== 'progress') return
  const label = `layer ${event.index + 1}/${plan.layers.length} ${shortDigest(event.digest)}`
  set(String(event.index), { label, state: 'applying', done: event.bytes, total: event.total })
}

function tell(context: Context, event: RepairEvent): void {
  if (event.type === 'lease' || event.type === 'retry') tellOperation(context, event)
  if (event.type === 'labels') context.detail(`labelled ${event.update.chainID}`)
  if (event.type === 'removed') context.detail(`removed ${event.removal.chainID}: ${event.removal.why}`)
  if (event.type === 'leftover') context.detail(`removed ${event.key}`)
  if (event.type === 'gc-label') context.detail(`gc label ${event.step}`)
}

function missingBlobs({ missing, problems, fixes }: RepairDryRun): LayercastError {
  return new LayercastError(
    'BLOB_NOT_FOUND',
    [`a repair would be refused: the node does not have ${missing.join(', ')}`, ...problems].join('; '),
    { fix: blobFix(fixes), detail: { digests: missing, problems } },
  )
}

function stillWrong({ digest }: Planned, { snapshotter, after, treeAfter }: RepairResult): LayercastError {
  return new LayercastError('VERIFICATION_FAILED', `not all is as planned under ${snapshotter} after the repair`, {
    fix:
      treeAfter?.ok === false
        ? "Where containerd's diff service wrote the layers (TREE_WRONG says which), repair without --applier containerd, from where containerd's snapshots can be seen."
        : 'Something else changes these snapshots: see what runs on the node, and run again.',
    detail: { plan: digest, state: after.state },
  })
}
