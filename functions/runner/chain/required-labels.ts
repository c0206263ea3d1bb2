/** The labels that a plan says its snapshotter cannot do without. */
import { LayercastError } from '../../errors.ts'
import type { Plan } from '../../plan/document.ts'

/** PLAN_LABEL_REQUIRED where layers lack labels that the plan itself requires; `detail.lacking` has all of them. */
export function checkRequiredLabels(plan: Plan): void {
  const lacking = plan.layers
    .map((layer) => ({ layer: layer.descriptor.digest, labels: plan.requires.filter((key) => !layer.labels[key]) }))
    .filter(({ labels }) => labels.length > 0)
  const [first] = lacking
  if (first === undefined) return
  throw new LayercastError(
    'PLAN_LABEL_REQUIRED',
    `snapshotter ${plan.snapshotter} needs labels that the plan does not carry: ${first.labels.join(', ')} of layer ${first.layer}`,
    { fix: 'Make the plan again with its labels on (no --labels off).', detail: { lacking } },
  )
}
