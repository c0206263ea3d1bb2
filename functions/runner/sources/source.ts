/** The port of image sources. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { Range } from '../../node/ports.ts'

/** One image outside the node's stores. It must be closed. */
export interface ImageSource {
  /** As the user gave it. */
  readonly spec: string
  /** The image's name, where the source knows one. */
  readonly reference: string | undefined
  /** What the spec points to: a manifest or an index. */
  readonly target: Descriptor
  /**
   * A blob's bytes, in order, in chunks that the caller may keep. A blob that is read whole is checked against its digest and
   * size: DIGEST_MISMATCH at the first byte too many, or at the end. A part cannot be checked. BLOB_NOT_FOUND before the first chunk.
   */
  read(descriptor: Descriptor, range?: Range): AsyncIterable<Uint8Array>
  /** Whether it has the blob; nothing of it is read. */
  has(digest: Digest): Promise<boolean>
  close(): Promise<void>
}
