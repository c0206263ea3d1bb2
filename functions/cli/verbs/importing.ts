import type { NodeImage } from '../../runner/images/resolve.ts'
import type { Context } from '../program/context.ts'
import { createProgress } from '../program/progress.ts'
import { shortDigest } from '../program/text.ts'
import { preferredFeatures } from './planning.ts'

/** Brings an image from a source into the node's stores under its name, drawing bars on a terminal. */
export async function importImage(
  context: Context,
  source: string,
  options: { platform?: string | undefined; reference?: string | undefined; snapshotter?: string | undefined },
): Promise<NodeImage> {
  const { resolve } = await import('../../runner/images/resolve.ts')
  const progress = createProgress(context.streams)
  try {
    return await resolve(await context.backend(), source, {
      signal: context.signal,
      features: await preferredFeatures(context, source, { ...options, onNode: true }),
      ...(options.platform !== undefined && { platform: options.platform }),
      ...(options.reference !== undefined && { reference: options.reference }),
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
