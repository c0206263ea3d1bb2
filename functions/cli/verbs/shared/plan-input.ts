/** From an image's documents and the user's options to its plan. */

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
export async function plannerInput(image: NamedImage, { reference, ...options }: PlanFlags): Promise<PlannerInput> {
  // Loaded when asked for, with the planner's own modules and the WASM core, which would make every start slower.
  const { imageInput } = await import('../../../runner/images/named-image.ts')
  const named = reference === undefined ? {} : { reference, referenceForm: undefined }
  return { ...imageInput(image), ...named, ...planShape(options) }
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

/** Plans an image that was looked up, in this process. Errors as `plan`. */
export async function planImage(image: NamedImage, flags: PlanFlags): Promise<Planned> {
  return await planHere(await plannerInput(image, flags))
}
