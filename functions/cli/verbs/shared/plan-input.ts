/** From an image's documents and the user's options to its plan. */

import { isNormalReference } from '../../../image/reference.ts'
import type { Planned } from '../../../plan/document.ts'
import type { PlanInput } from '../../../plan/plan.ts'
import type { NamedImage } from '../../../runner/images/named-image.ts'

/** The options that decide what is in a plan, as the command line gives them. */
export interface PlanFlags {
  snapshotter: string
  profile?: string | undefined
  labels?: 'cri' | 'off' | undefined
  platform?: string | undefined
  reference?: string | undefined
}

/** What a plan is made of, as the planner here takes it, and a server's too. */
export type PlannerInput = PlanInput & { platform?: string | undefined }

/** The planner's input for an image that was looked up. `--reference` replaces the image's own name. */
export function plannerInput(image: NamedImage, { reference: wanted, ...options }: PlanFlags): PlannerInput {
  const { manifest, mediaType, config } = image
  const reference = wanted ?? image.reference
  // A name in the node's store that is not normalised is used to the letter, because containerd labels with it.
  const isStored = wanted === undefined && !isNormalReference(reference)
  return {
    reference,
    referenceForm: isStored ? 'store' : undefined,
    manifest,
    mediaType,
    config,
    ...planShape(options),
  }
}

/** The part of the planner's input that options alone decide. */
export function planShape({
  snapshotter,
  profile,
  labels,
  platform,
}: PlanFlags): Pick<PlannerInput, 'snapshotter' | 'profile' | 'labels' | 'platform'> {
  // The platform is passed on to be checked: an image of one manifest is found whatever its platform is.
  return { snapshotter, profile, labels, platform }
}

/** Plans in this process. Errors as `plan`. */
export async function planHere(input: PlannerInput): Promise<Planned> {
  const { plan } = await import('../../../plan/plan.ts')
  return plan(input)
}
