/** What all ways to a blob share. */
import type { Descriptor } from '../../image/descriptor.ts'
import { isErofsLayer, isLayer } from '../../image/media-type.ts'

/** Docker's type says nothing of the compression: containerd and layercast's own applier go by the first bytes. */
const SNIFFED = 'application/vnd.docker.image.rootfs.diff.tar'

/** The descriptor under which a blob of unknown compression is applied. */
export function sniffed({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Descriptor {
  return { mediaType: SNIFFED, digest, size }
}

/** Whether the layer is an archive, so that another blob of the same diff ID does for it. */
export function isArchive({ mediaType }: Descriptor): boolean {
  return isLayer(mediaType) && !isErofsLayer(mediaType)
}
