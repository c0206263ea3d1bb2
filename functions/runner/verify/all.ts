/** Verifies every image of a node under every snapshotter that it is unpacked under. */
import { hasCode, LayercastError } from '../../errors.ts'
import { GC_REF_SNAPSHOT } from '../../image/label-names.ts'
import { parseManifest } from '../../image/manifest.ts'
import type { Platform } from '../../image/platform.ts'
import { checkAborted } from '../../kit/abort.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan, Planned } from '../../plan/document.ts'
import { plan as planImage } from '../../plan/plan.ts'
import { findImage } from '../images/find.ts'
import { imageInput, type NamedImage } from '../images/named-image.ts'
import { byPreference } from '../images/record.ts'
import type { EmitOperation } from '../operation/events.ts'
import { compareTree, whyNoTree } from './compare-tree.ts'
import type { TreeReport, VerifyReport } from './types.ts'
import { verifyChain } from './verify.ts'

export interface VerifyAllOptions {
  backend: Backend
  /** One snapshotter for every image. Absent: those that the gc labels of the image's config name. */
  snapshotter?: string | undefined
  /** The host's own where absent. */
  platform?: Platform | string | undefined
  profile?: string | undefined
  labels?: 'cri' | 'off' | undefined
  /** Whether the trees are compared too. */
  deep?: boolean | undefined
  /** With `deep`: whether the content of the files is compared too. */
  contents?: boolean | undefined
  signal: AbortSignal
  /** As `compareTree` takes it. */
  onEvent?: EmitOperation | undefined
}

/** One image under one snapshotter. */
export interface VerifiedImage {
  /** Its names, all of one target; the first is the one that was planned. */
  names: string[]
  /** Undefined where it is unpacked nowhere, and where that cannot be told. */
  snapshotter: string | undefined
  planned?: Planned
  report?: VerifyReport
  tree?: TreeReport
  /** Why the trees were not compared, though `deep` was given. */
  noTree?: string
  /** Why it could not be verified. */
  error?: LayercastError
  /** The image is not for this node's platform, which is no fault. */
  otherPlatform?: true
}

/**
 * Verifies every image of the node, one after another. An image that cannot be read or planned is reported with its error; the
 * others are verified all the same. CONTAINERD_UNREACHABLE, ABORTED.
 */
export async function* verifyAll(options: VerifyAllOptions): AsyncGenerator<VerifiedImage> {
  const { backend, signal } = options
  for (const names of await imagesOf(backend)) {
    checkAborted(signal)
    yield* verifyImage(options, names)
  }
}

/** The names of the images, those of one target together. The name with which CRI labels comes first. */
async function imagesOf(backend: Backend): Promise<string[][]> {
  const byTarget = new Map<string, string[]>()
  for await (const { name, target } of backend.images.list()) {
    byTarget.set(target.digest, [...(byTarget.get(target.digest) ?? []), name])
  }
  const sorted = [...byTarget.values()].map((names) => names.toSorted(byPreference))
  return sorted.toSorted(([one = ''], [other = '']) => (one < other ? -1 : 1))
}

async function* verifyImage(options: VerifyAllOptions, names: string[]): AsyncGenerator<VerifiedImage> {
  let unpacked: Unpacked[]
  try {
    unpacked = await unpackedOf(options, names[0] ?? '')
  } catch (error) {
    const known = expected(error)
    if (await isGone(options, names)) return
    const other = known.code === 'PLATFORM_NOT_FOUND' || known.code === 'PLATFORM_MISMATCH'
    yield { names, snapshotter: options.snapshotter, error: known, ...(other ? { otherPlatform: true } : {}) }
    return
  }
  const { backend } = options
  if (unpacked.length === 0) yield { names, snapshotter: undefined }
  for (const { image, snapshotter } of unpacked) {
    try {
      const planned = planOf(options, image, snapshotter)
      const tree = options.deep ? await treeOf(options, planned.plan) : {}
      // After the trees, so that a snapshot that vanished while they were compared is missing in the report.
      const report = await verifyChain({ backend, plan: planned.plan })
      if (!report.ok && (await isGone(options, names))) return
      yield { names, snapshotter, planned, report, ...tree }
    } catch (error) {
      const known = expected(error)
      if (await isGone(options, names)) return
      yield { names, snapshotter, error: known }
    }
  }
}

/** Whether an image that was listed has been removed since: then there is nothing to report. */
async function isGone({ backend }: VerifyAllOptions, [name = '']: readonly string[]): Promise<boolean> {
  try {
    await backend.images.get(name)
    return false
  } catch (error) {
    if (hasCode(error, 'IMAGE_NOT_FOUND')) return true
    throw error
  }
}

/** One manifest of an image, and a snapshotter under which it is, or should be, unpacked. */
interface Unpacked {
  image: NamedImage
  snapshotter: string
}

/**
 * Where an image is unpacked, or the one snapshotter that was asked for. An index may have one manifest for the OS features of a
 * snapshotter (`erofs`) and a plain one: each snapshotter has the one that is unpacked under it.
 */
async function unpackedOf({ backend, platform, snapshotter }: VerifyAllOptions, name: string): Promise<Unpacked[]> {
  const features = await featuresBySnapshotter(backend)
  const preferred = await findImage(backend, name, {
    platform,
    features: [...(snapshotter === undefined ? features.values() : [features.get(snapshotter) ?? []])].flat(),
  })
  if (snapshotter !== undefined) return [{ image: preferred, snapshotter }]
  const plain = features.size === 0 ? preferred : await findOrNone(backend, name, platform)
  const found = (await snapshottersOf(backend, preferred)).map((under) => ({ image: preferred, snapshotter: under }))
  if (plain === undefined || plain.descriptor.digest === preferred.descriptor.digest) return found
  const known = new Set(found.map(({ snapshotter: under }) => under))
  const others = (await snapshottersOf(backend, plain)).filter((under) => !known.has(under))
  return [...found, ...others.map((under) => ({ image: plain, snapshotter: under }))]
}

async function findOrNone(
  backend: Backend,
  name: string,
  platform: VerifyAllOptions['platform'],
): Promise<NamedImage | undefined> {
  try {
    return await findImage(backend, name, { platform })
  } catch (error) {
    if (hasCode(error, 'PLATFORM_NOT_FOUND')) return undefined
    throw error
  }
}

/** The OS features whose images a snapshotter prefers, for those that prefer any. */
async function featuresBySnapshotter(backend: Backend): Promise<ReadonlyMap<string, readonly string[]>> {
  const plugins = await backend.snapshotters()
  return new Map(plugins.flatMap(({ name, osFeatures }) => (osFeatures === undefined ? [] : [[name, osFeatures]])))
}

/** The snapshotters whose gc label the image's config carries. */
async function snapshottersOf(backend: Backend, image: NamedImage): Promise<string[]> {
  const { config } = parseManifest(image.manifest, image.mediaType)
  const { labels } = await backend.content.info(config.digest)
  const prefix = `${GC_REF_SNAPSHOT}.`
  const named = Object.keys(labels).filter((key) => key.startsWith(prefix))
  return named.map((key) => key.slice(prefix.length)).sort()
}

function planOf({ profile, labels }: VerifyAllOptions, image: NamedImage, snapshotter: string): Planned {
  return planImage({ ...imageInput(image), snapshotter, profile, labels })
}

async function treeOf(
  { backend, contents = false, signal, onEvent }: VerifyAllOptions,
  plan: Plan,
): Promise<Pick<VerifiedImage, 'tree' | 'noTree'>> {
  const why = whyNoTree(plan)
  if (why !== undefined) return { noTree: why }
  try {
    return { tree: await compareTree({ backend, plan, contents, signal, onEvent }) }
  } catch (error) {
    // That this node cannot mount the tree is no fault of the image.
    if (hasCode(error, 'MOUNT_HELPER_MISSING')) return { noTree: error.message }
    throw error
  }
}

/** The error, where it is about one image. Errors about the node or about this program are thrown, and end the whole run. */
function expected(error: unknown): LayercastError {
  if (error instanceof LayercastError && error.kind !== 'unreachable' && error.code !== 'ABORTED') return error
  throw error
}
