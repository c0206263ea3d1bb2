/** Repairing before the user's eyes. */
import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Planned } from '../../plan/document.ts'
import type { RepairDryRun, RepairResult } from '../../runner/repair/types.ts'
import { repairText, warningsOf } from '../output/repair.ts'
import type { Context } from '../program/context.ts'
import { createProgress } from '../program/progress.ts'
import { shortDigest } from '../program/text.ts'
import { notCompared } from './not-compared.ts'
import { blobWays, type UnpackingOptions } from './unpacking.ts'

/**
 * Repairs what a plan made, or says what would be done, and prints it. Errors as `repairChain`; VERIFICATION_FAILED where
 * it is not all well afterwards.
 */
export async function repairPlan(
  context: Context,
  planned: Planned,
  options: UnpackingOptions & { deep: boolean; contents: boolean; dryRun: boolean },
): Promise<void> {
  const { dryRunRepair, repairChain } = await import('../../runner/repair/repair.ts')
  const repair = {
    backend: await context.backend(),
    planned,
    deep: options.deep,
    contents: options.contents,
    blobs: blobWays(options),
    signal: context.signal,
    // The parser has checked it against the option's choices.
    ...(options.applier !== undefined && { applier: options.applier as 'containerd' | 'own' }),
  }
  if (options.dryRun) {
    const found = await dryRunRepair(repair)
    await context.show({ ...found, warnings: planned.plan.warnings }, () => repairText(planned, found))
    const { inUse } = await import('../../runner/repair/users.ts')
    if (found.users.length > 0) throw inUse(planned.plan, found.decision.remove.length, found.users)
    if (found.missing.length > 0) throw missingBlobs(found)
    return
  }
  const progress = createProgress(context.streams)
  let result: RepairResult
  try {
    result = await repairChain({
      ...repair,
      onEvent: (event) => {
        if (event.type === 'labels') context.detail(`labelled ${event.update.chainID}`)
        if (event.type === 'removed') context.detail(`removed ${event.removal.chainID}: ${event.removal.why}`)
        if (event.type === 'leftover') context.detail(`removed ${event.key}`)
        if (event.type === 'gc-label') context.detail(`gc label ${event.step}`)
        if (event.type !== 'progress') return
        const label = `layer ${event.index + 1}/${planned.plan.layers.length} ${shortDigest(event.digest)}`
        progress.set(String(event.index), { label, state: 'applying', done: event.bytes, total: event.total })
      },
    })
  } finally {
    progress.end()
  }
  await context.show({ ...result, warnings: warningsOf(planned, result) }, () => repairText(planned, result))
  if (result.ok) {
    const { treeAfter } = result
    if (treeAfter !== undefined && treeAfter.notCompared.length > 0) throw notCompared([treeAfter])
    return
  }
  throw new LayercastError(
    'VERIFICATION_FAILED',
    `not all is as planned under ${result.snapshotter} after the repair`,
    {
      fix:
        result.treeAfter?.ok === false
          ? "Where containerd's diff service wrote the layers (TREE_WRONG says which), repair without --applier containerd, from where containerd's snapshots can be seen."
          : 'Something else changes these snapshots: see what runs on the node, and run again.',
      detail: { plan: planned.digest, state: result.after.state },
    },
  )
}

function missingBlobs({ missing, problems, fixes }: RepairDryRun): LayercastError {
  return new LayercastError(
    'BLOB_NOT_FOUND',
    [`a repair would be refused: the node does not have ${missing.join(', ')}`, ...problems].join('; '),
    {
      fix: blobFix(fixes),
      detail: { digests: missing, problems },
    },
  )
}
