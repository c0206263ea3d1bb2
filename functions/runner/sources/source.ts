import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { Range } from '../../node/ports.ts'

/** Somewhere outside the node's stores where one image's documents and layers are. */
export interface ImageSource {
  /** As the user gave it. */
  readonly spec: string
  /** The image's name, where the source knows one. */
  readonly reference: string | undefined
  /** What that name, or the spec, points to: a manifest or an index. */
  readonly target: Descriptor
  /**
   * A blob's bytes, in order, in chunks that the caller may keep. A blob read whole is checked against its digest and
   * size: DIGEST_MISMATCH comes before the end. A part cannot be checked. BLOB_NOT_FOUND before the first chunk.
   */
  read(descriptor: Descriptor, range?: Range): AsyncIterable<Uint8Array>
  has(digest: Digest): Promise<boolean>
  close(): Promise<void>
}
