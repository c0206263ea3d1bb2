import { GC_REF_SNAPSHOT } from '../../image/label-names.ts'
import type { ContentInfo } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'

/** The config blob's label that keeps a chain from the garbage collector while the image is there. */
export function gcLabel(snapshotter: string): string {
  return `${GC_REF_SNAPSHOT}.${snapshotter}`
}

/** Whether the config blob refers to the plan's chain. */
export function hasGcLabel(config: Pick<ContentInfo, 'labels'>, plan: Plan): boolean {
  return config.labels[gcLabel(plan.snapshotter)] === plan.chainID
}
