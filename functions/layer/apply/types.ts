/** What an applier is: the port that containerd's diff service and layercast's own writer both implement. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { Mount } from '../../linux/mount-list.ts'

/** What a layer came to once written: the digest of its uncompressed tar, and that tar's size in bytes. */
export interface Applied {
  diffID: Digest
  size: number
  /**
   * Whether a directory was made for a path before an entry named it: by itself such a layer does not tell what is there,
   * since a layer below may have a link, or another directory, at that name. Absent where the applier does not say.
   */
  impliesDirectories?: boolean
}

/** Something of a layer that is left out of the tree. Texts are for people: bytes that are no UTF-8 are replaced. */
export interface Ignored {
  /** The entry's. */
  path: string
  /** In the singular: `device node`, `security.capability attribute`. */
  what: string
  reason: string
  /** Whether it is this node that cannot write it. Otherwise it is what no layer may bring, on no node. */
  here: boolean
}

export interface ApplyOptions {
  signal?: AbortSignal | undefined
  /** Called with the compressed bytes read so far. */
  onProgress?: ((bytes: number) => void) | undefined
  /** Called for what is left out; by layercast's own applier alone, since containerd's does not tell. */
  onIgnored?: ((ignored: Ignored) => void) | undefined
}

/** Writes a layer's content into the file system that the mounts describe. The caller compares the diff ID. */
export interface Applier {
  apply(layer: Descriptor, mounts: readonly Mount[], options?: ApplyOptions): Promise<Applied>
}
