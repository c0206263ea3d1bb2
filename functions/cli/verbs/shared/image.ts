/** The image that a user names: looked up on the node or in a source, and imported from a source. */

import type { NodeImage } from '../../../runner/images/resolve.ts'
import type { Context } from '../../program/context.ts'
import { createProgress } from '../../program/progress.ts'
import { shortDigest } from '../../program/text.ts'

/** What decides which of an image's manifests is taken, and under which name. */
export interface ImageFlags {
  platform?: string | undefined
  reference?: string | undefined
  snapshotter?: string | undefined
}

interface LookUpFlags extends ImageFlags {
  /** Whether the plan is for this node. An image in a source can also be planned without a node. */
  onNode?: boolean
  /** Where a document comes from that is damaged on the node. */
  source?: readonly string[]
  dryRun?: boolean
}

/**
 * Looks an image up by its name on the node, or in a source. Changes nothing, except that a document which is damaged on the
 * node is fetched again from the sources that the user named, unless it is a dry run.
 *
 * @throws LayercastError as `inspect` and `resolve` of runner/images
 */
export async function lookUp(context: Context, image: string, options: LookUpFlags): Promise<NodeImage> {
  const { inspect, isSpec, resolve } = await import('../../../runner/images/resolve.ts')
  const { platform, reference, source = [], dryRun = false, onNode = false } = options
  const features = await preferredFeatures(context, options, isSpec(image) && !onNode)
  const how = { features, signal: context.signal, ...(platform !== undefined && { platform }) }
  if (isSpec(image)) return inspect(image, { ...how, ...(reference !== undefined && { reference }) })
  return resolve(await context.backend(), image, { ...how, sources: dryRun ? [] : source })
}

/** Imports an image from a source into the node's stores, under its name, with progress bars on a terminal. */
export async function importImage(context: Context, source: string, options: ImageFlags): Promise<NodeImage> {
  const { resolve } = await import('../../../runner/images/resolve.ts')
  const { platform, reference } = options
  const progress = createProgress(context.streams)
  try {
    return await resolve(await context.backend(), source, {
      signal: context.signal,
      features: await preferredFeatures(context, options, false),
      ...(platform !== undefined && { platform }),
      ...(reference !== undefined && { reference }),
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
}

/**
 * The OS features for which manifests are preferred under a snapshotter: those that the node's snapshotter advertises, or,
 * without a node, those that today's containerd advertises. None where the user names a platform.
 */
async function preferredFeatures(
  context: Context,
  { platform, snapshotter }: ImageFlags,
  withoutNode: boolean,
): Promise<readonly string[]> {
  // Only erofs has any: for the others the node is not asked, which takes a call.
  if (platform !== undefined || snapshotter !== 'erofs') return []
  if (withoutNode) return ['erofs']
  const backend = await context.backend()
  return (await backend.snapshotters()).find(({ name }) => name === snapshotter)?.osFeatures ?? []
}
