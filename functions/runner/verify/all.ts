/** Every image of a node against its plans. */
import { LayercastError } from '../../image/errors.ts'
import { parseManifest } from '../../image/manifest.ts'
import type { Platform } from '../../image/platform.ts'
import type { Plan, Planned } from '../../plan/document.ts'
import { plan as planImage } from '../../plan/plan.ts'
import { hostPlatform, resolve, type NodeImage } from '../image/index.ts'
import type { Backend } from '../ports.ts'
import { compareTree, whyNoTree, type TreeReport } from '../tree/chain.ts'
import { checkAborted } from '../unpack/abort.ts'
import { verifyChain, type VerifyReport } from './index.ts'

export interface VerifyAllOptions {
  backend: Backend
  /** One snapshotter for every image; those that the image's config says it is unpacked under where absent. */
  snapshotter?: string
  platform?: Platform | string
  profile?: string
  labels?: 'cri' | 'off'
  deep?: boolean
  contents?: boolean
  signal: AbortSignal
}

/** One image under one snapshotter. */
export interface VerifiedImage {
  /** Its names, all of one target; the first is the one that was planned. */
  names: string[]
  /** Undefined where it is unpacked nowhere, and where that cannot be read. */
  snapshotter: string | undefined
  planned?: Planned
  report?: VerifyReport
  tree?: TreeReport
  /** Why the trees were not compared though that was asked for. */
  noTree?: string
  /** What kept it from being verified. */
  error?: LayercastError
  /** It is not for this node's platform, which is no fault. */
  otherPlatform?: true
}

/**
 * Verifies every image of the node, one after another. An image that cannot be read or planned is told with its error and
 * stops nothing. CONTAINERD_UNREACHABLE, ABORTED.
 */
export async function* verifyAll(options: VerifyAllOptions): AsyncGenerator<VerifiedImage> {
  const { backend, signal } = options
  for (const names of await imagesOf(backend)) {
    checkAborted(signal)
    yield* verifyImage(options, names)
  }
}

/** The names of the images, those of one target together. A name with a tag comes first. */
async function imagesOf(backend: Backend): Promise<string[][]> {
  const byTarget = new Map<string, string[]>()
  for await (const { name, target } of backend.images.list()) {
    byTarget.set(target.digest, [...(byTarget.get(target.digest) ?? []), name])
  }
  const sorted = [...byTarget.values()].map((names) =>
    names.toSorted((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1)),
  )
  return sorted.toSorted(([one = ''], [other = '']) => (one < other ? -1 : 1))
}

// CRI keeps every image under its tag, its digest and its ID.
function rank(name: string): number {
  return name.startsWith('sha256:') ? 2 : name.includes('@') ? 1 : 0
}

async function* verifyImage(options: VerifyAllOptions, names: string[]): AsyncGenerator<VerifiedImage> {
  const { backend, platform = hostPlatform() } = options
  let image: NodeImage
  let snapshotters: string[]
  try {
    image = await resolve(backend, names[0] ?? '', { platform })
    snapshotters = options.snapshotter === undefined ? await unpackedUnder(backend, image) : [options.snapshotter]
  } catch (error) {
    const known = expected(error)
    const other = known.code === 'PLATFORM_NOT_FOUND' || known.code === 'PLATFORM_MISMATCH'
    yield { names, snapshotter: options.snapshotter, error: known, ...(other ? { otherPlatform: true } : {}) }
    return
  }
  if (snapshotters.length === 0) yield { names, snapshotter: undefined }
  for (const snapshotter of snapshotters) {
    try {
      const planned = planOf(options, image, snapshotter)
      const report = await verifyChain({ backend, plan: planned.plan })
      const tree = options.deep ? await treeOf(options, planned.plan) : {}
      yield { names, snapshotter, planned, report, ...tree }
    } catch (error) {
      yield { names, snapshotter, error: expected(error) }
    }
  }
}

/** The snapshotters whose gc label the image's config carries. */
async function unpackedUnder(backend: Backend, image: NodeImage): Promise<string[]> {
  const { config } = parseManifest(image.manifest, image.mediaType)
  const { labels } = await backend.content.info(config.digest)
  const prefix = 'containerd.io/gc.ref.snapshot.'
  const named = Object.keys(labels).filter((key) => key.startsWith(prefix))
  return named.map((key) => key.slice(prefix.length)).sort()
}

function planOf({ profile, labels }: VerifyAllOptions, image: NodeImage, snapshotter: string): Planned {
  const { reference, manifest, mediaType, config } = image
  return planImage({
    reference,
    manifest,
    mediaType,
    config,
    snapshotter,
    ...(profile === undefined ? {} : { profile }),
    ...(labels === undefined ? {} : { labels }),
  })
}

async function treeOf(
  { backend, contents = false, signal }: VerifyAllOptions,
  plan: Plan,
): Promise<Pick<VerifiedImage, 'tree' | 'noTree'>> {
  const why = whyNoTree(plan)
  return why === undefined ? { tree: await compareTree({ backend, plan, contents, signal }) } : { noTree: why }
}

/** An error that is about one image; the others are about the node, or about this program, and end it all. */
function expected(error: unknown): LayercastError {
  if (error instanceof LayercastError && error.kind !== 'unreachable' && error.code !== 'ABORTED') return error
  throw error
}
