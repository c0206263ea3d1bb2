/** From an image as the user names it to its plan: what `plan`, `unpack`, `verify` and `assign` share. */
import type { Client } from '../../contract/client.ts'
import { LayercastError } from '../../errors.ts'
import { isNormalReference } from '../../image/reference.ts'
import type { Planned } from '../../plan/document.ts'
import type { PlanInput } from '../../plan/plan.ts'
import type { NodeImage } from '../../runner/images/resolve.ts'
import type { Context } from '../program/context.ts'
import { readInput } from '../program/files.ts'

/** The options that shape a plan. */
export interface PlanningOptions {
  snapshotter: string
  profile?: string | undefined
  labels?: string | undefined
  platform?: string | undefined
  reference?: string | undefined
}

/** Where an image's two documents come from: files, or an image that is named. */
export interface ImageFrom {
  image?: string | undefined
  manifest?: string | undefined
  config?: string | undefined
}

/**
 * The image's documents and everything else that its plan depends on. Nothing is imported and nothing changes.
 *
 * @throws LayercastError USAGE where the image is not named in one of the two ways; else as the parts below
 */
export async function planInput(context: Context, from: ImageFrom, options: PlanningOptions): Promise<PlanInput> {
  if (from.image !== undefined) {
    if (from.manifest !== undefined || from.config !== undefined) {
      throw usage('IMAGE is given, and --manifest or --config too', 'Give the one or the other.')
    }
    return inputOf(await lookUp(context, from.image, options), options)
  }
  if (from.manifest === undefined || from.config === undefined) {
    const given = from.manifest ?? from.config
    const [one, other] = from.manifest === undefined ? ['--config', '--manifest'] : ['--manifest', '--config']
    throw usage(
      given === undefined
        ? 'neither IMAGE nor --manifest and --config are given'
        : `${one} is given, and ${other} is not`,
      'Name an image, or give both files and --reference.',
    )
  }
  if (from.manifest === '-' && from.config === '-') {
    throw usage('--manifest and --config are both stdin', 'Give one of them as a file.')
  }
  if (options.reference === undefined) {
    throw usage(
      '--reference is not given',
      "Give --reference NAME, the image's name: the labels carry it, and files do not.",
    )
  }
  const manifest = await readInput(context, from.manifest)
  const config = await readInput(context, from.config)
  return { reference: options.reference, manifest, config, ...shape(options) }
}

/** The input of the plan of an image that was found. */
export function inputOf(image: NodeImage, options: PlanningOptions): PlanInput {
  const { manifest, mediaType, config, reference } = image
  const named =
    options.reference === undefined
      ? // A name out of the node's store that is not normal is what containerd labels with.
        { reference, ...(isNormalReference(reference) ? {} : { referenceForm: 'store' as const }) }
      : { reference: options.reference }
  return { ...named, manifest, mediaType, config, ...shape(options) }
}

/**
 * An image by its name on the node, or in a source; neither node nor source is changed, but for a document that is damaged
 * on the node, and comes anew from the sources that the user named.
 */
export async function lookUp(
  context: Context,
  image: string,
  options: Pick<PlanningOptions, 'platform' | 'reference'> &
    Preference & { source?: readonly string[]; dryRun?: boolean },
): Promise<NodeImage> {
  const { inspect, isSpec, resolve } = await import('../../runner/images/resolve.ts')
  const where = {
    ...(options.platform !== undefined && { platform: options.platform }),
    features: await preferredFeatures(context, image, options),
    signal: context.signal,
  }
  if (isSpec(image)) {
    return inspect(image, { ...where, ...(options.reference !== undefined && { reference: options.reference }) })
  }
  // A dry run changes nothing, and heals nothing.
  const sources = options.dryRun === true ? [] : (options.source ?? [])
  return resolve(await context.backend(), image, { ...where, sources })
}

/** What decides which of an image's manifests is preferred. */
export interface Preference {
  platform?: string | undefined
  snapshotter?: string | undefined
  /** Whether it is for this node also where the image is in a source, which can be planned without a node. */
  onNode?: boolean
}

/**
 * The OS features for which an image is preferred under a snapshotter: those that the node's own advertises, and, where there
 * is no node in it, what today's containerd advertises. None where a platform is asked for.
 */
export async function preferredFeatures(
  context: Context,
  image: string,
  { platform, snapshotter, onNode = false }: Preference,
): Promise<readonly string[]> {
  // erofs is the only one that has any, and nobody else shall pay for the question.
  if (platform !== undefined || snapshotter !== 'erofs') return []
  const { isSpec } = await import('../../runner/images/resolve.ts')
  if (isSpec(image) && !onNode) return ['erofs']
  const backend = await context.backend()
  return (await backend.snapshotters()).find(({ name }) => name === snapshotter)?.osFeatures ?? []
}

/** The plan, made here. */
export async function planHere(input: PlanInput): Promise<Planned> {
  const { plan } = await import('../../plan/plan.ts')
  return plan(input)
}

/** The same input as a server takes it: a platform goes as text, and what is not given is not sent. */
export function planRequest(input: PlanInput): Parameters<Client['plan']>[0] {
  const { platform, profile, labels, mediaType, referenceForm, ...needed } = input
  return {
    ...needed,
    ...(typeof platform === 'string' && { platform }),
    ...(profile !== undefined && { profile }),
    ...(labels !== undefined && { labels }),
    ...(mediaType !== undefined && { mediaType }),
    ...(referenceForm !== undefined && { referenceForm }),
  }
}

function shape(options: PlanningOptions): Pick<PlanInput, 'snapshotter' | 'profile' | 'labels' | 'platform'> {
  return {
    snapshotter: options.snapshotter,
    // A check: an image of one manifest is found whatever its platform, and may not be the one that was asked for.
    ...(options.platform !== undefined && { platform: options.platform }),
    ...(options.profile !== undefined && { profile: options.profile }),
    // The parser has checked it against the option's choices.
    ...(options.labels !== undefined && { labels: options.labels as 'cri' | 'off' }),
  }
}

function usage(message: string, fix: string): LayercastError {
  return new LayercastError('USAGE', message, { fix })
}
