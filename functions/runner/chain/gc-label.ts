/** The gc label of a config blob, by which containerd's garbage collector keeps a chain. */
import { GC_REF_SNAPSHOT } from '../../image/label-names.ts'
import type { ContentInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'

/** Its key. Its value is the chain ID of the top layer: the collector keeps that snapshot and all below it while the image is there. */
export function gcLabel(snapshotter: string): string {
  return `${GC_REF_SNAPSHOT}.${snapshotter}`
}

/** Whether the config blob refers to the plan's chain. */
export function hasGcLabel(config: Pick<ContentInfo, 'labels'>, plan: Plan): boolean {
  return config.labels[gcLabel(plan.snapshotter)] === plan.chainID
}
