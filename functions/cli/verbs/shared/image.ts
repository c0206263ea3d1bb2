/** The image that a user names: found on the node, or inspected in a source and imported from there. */

import type { SnapshotterPlugin } from '../../../node/ports.ts'
import type { NamedImage } from '../../../runner/images/named-image.ts'
import type { ImageSource } from '../../../runner/sources/source.ts'
import { isRegistrySpec, isSpec } from '../../../runner/sources/spec.ts'
import type { Context } from '../../program/context.ts'
import { createProgress } from '../../program/progress.ts'
import { shortDigest } from '../../program/text.ts'
import { tellOperation } from './operation-events.ts'

/** What decides which of an image's manifests is taken, and under which name. */
export interface ImageFlags {
  platform?: string | undefined
  reference?: string | undefined
  snapshotter?: string | undefined
  /** The OS features that the node's snapshotter advertises; the node is asked where absent. */
  features?: readonly string[] | undefined
}

interface LookUpFlags extends ImageFlags {
  /** Where a document comes from that is damaged on the node. */
  source?: readonly string[] | undefined
  dryRun?: boolean
}

interface Place {
  /** Whether the image is for this node. An image in a source can also be planned without a node. */
  onNode?: boolean
}

/** An image, open while a verb works with it. */
export interface UserImage {
  /** Whether it is in a source, and not on the node. */
  readonly fromSource: boolean
  /**
   * Changes nothing, except that a document which is damaged on the node is fetched again from the sources that the user
   * named, unless it is a dry run. Errors as `findImage` and `Inspect` of runner/images.
   */
  find(options: LookUpFlags): Promise<NamedImage>
  /** Imports what `find` finds in the source, with progress bars on a terminal. Errors as `importImage` of runner/images. */
  import(options: ImageFlags): Promise<NamedImage>
}

/** Opens an image for the time of the work. A source is opened once, and no document in it is read twice. */
export async function withImage<T>(
  context: Context,
  name: string,
  place: Place,
  work: (image: UserImage) => Promise<T>,
): Promise<T> {
  if (!isSpec(name)) return await work(onNode(context, name))
  const source = await openSource(context, name, place)
  try {
    return await work(await inSource(context, source, place))
  } finally {
    await source.close()
  }
}

/** Finds an image, for a verb that does nothing else with it. Errors as `UserImage.find`. */
export async function lookUp(context: Context, name: string, options: LookUpFlags & Place): Promise<NamedImage> {
  return await withImage(context, name, options, (image) => image.find(options))
}

async function openSource(context: Context, spec: string, place: Place): Promise<ImageSource> {
  const sources = await import('../../../runner/sources/open.ts')
  // The configuration of the node's containerd names the hosts of a registry.
  const backend = place.onNode === true && isRegistrySpec(spec) ? await context.backend() : undefined
  return await sources.openSource(spec, backend)
}

function onNode(context: Context, name: string): UserImage {
  const featuresOf = createFeatures(context, { onNode: true })
  return {
    fromSource: false,
    async find(options) {
      const { findImage } = await import('../../../runner/images/find.ts')
      const { platform, source = [], dryRun = false } = options
      const backend = await context.backend()
      const features = await featuresOf(options)
      return await findImage(backend, name, {
        platform,
        features,
        sources: dryRun ? [] : source,
        signal: context.signal,
        onEvent: (event) => tellOperation(context, event),
      })
    },
    import: () => Promise.reject(new TypeError(`${name} is on the node, and not in a source`)),
  }
}

async function inSource(context: Context, source: ImageSource, place: Place): Promise<UserImage> {
  const { inspecting } = await import('../../../runner/images/inspect.ts')
  const inspectSource = inspecting(source)
  const featuresOf = createFeatures(context, place)
  const inspect = async (options: ImageFlags) => {
    const { platform, reference } = options
    return await inspectSource({ platform, reference, features: await featuresOf(options) })
  }
  return {
    fromSource: true,
    find: async (options) => (await inspect(options)).image,
    async import(options) {
      const { importImage } = await import('../../../runner/images/import.ts')
      const from = await inspect(options)
      const progress = createProgress(context.streams)
      try {
        await importImage({
          backend: await context.backend(),
          from,
          signal: context.signal,
          onEvent: (event) => {
            if (event.type !== 'blob') return
            const { digest, bytes, total, there } = event
            const state = there ? 'was there' : bytes >= total ? 'imported' : 'importing'
            progress.set(digest, { label: `blob ${shortDigest(digest)}`, state, done: bytes, total })
          },
        })
      } finally {
        progress.end()
      }
      return from.image
    },
  }
}

/**
 * The OS features for which manifests are preferred under a snapshotter: those that the node's snapshotter advertises, or,
 * without a node, those that today's containerd advertises. None where the user names a platform. The node is asked once.
 */
function createFeatures(context: Context, place: Place): (options: ImageFlags) => Promise<readonly string[]> {
  let asked: Promise<SnapshotterPlugin[]> | undefined
  const ask = async () => (await context.backend()).snapshotters()
  return async ({ platform, snapshotter, features }) => {
    // Only erofs has any: for the others the node is not asked, which takes a call.
    if (platform !== undefined || snapshotter !== 'erofs') return []
    if (features !== undefined) return features
    if (place.onNode !== true) return ['erofs']
    return (await (asked ??= ask())).find(({ name }) => name === snapshotter)?.osFeatures ?? []
  }
}
