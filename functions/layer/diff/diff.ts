/** Makes a layer of what a snapshot changes (containerd's word: diff), where containerd's diff service cannot mount it. */
import { createHash } from 'node:crypto'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { withMounted } from '../../linux/mounted.ts'
import { archiveOf } from './archive.ts'
import { changesBetween } from './changes.ts'

/** The part of a content store that the archive is written to. */
export interface BlobWriter {
  write(expected: Pick<Descriptor, 'digest' | 'size'>, data: AsyncIterable<Uint8Array>): Promise<void>
}

/**
 * Writes what the upper tree changes in the lower one into the content store, as a layer of this media type, which must be
 * an uncompressed archive's. The tree is read twice: the store asks for digest and size before the first byte.
 * SYSTEM_CALL_FAILED, FAILED_PRECONDITION (mounts that nobody but containerd can make), ABORTED.
 * @param lower nothing below where it is undefined
 */
export async function diffLayer(
  content: BlobWriter,
  lower: readonly Mount[] | undefined,
  upper: readonly Mount[],
  options: { mediaType: string; signal: AbortSignal },
): Promise<Descriptor> {
  const { mediaType, signal } = options
  return await withMounted(upper, async (above) => {
    const make = async (below: string | undefined): Promise<Descriptor> => {
      const changes = await changesBetween(below, above, signal)
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of archiveOf(changes, above, signal)) {
        hash.update(chunk)
        size += chunk.length
      }
      const digest: Digest = `sha256:${hash.digest('hex')}` as Digest
      await content.write({ digest, size }, archiveOf(changes, above, signal))
      return { mediaType, digest, size }
    }
    return lower === undefined ? await make(undefined) : await withMounted(lower, make)
  })
}
