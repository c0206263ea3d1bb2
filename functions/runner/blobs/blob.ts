/** What a layer's blob may be exchanged for. */
import type { Descriptor } from '../../image/descriptor.ts'
import { isErofsLayer, isLayer } from '../../image/media-type.ts'

/** Docker's media type says nothing about compression: containerd and layercast's own applier look at the first bytes. */
const SNIFFED = 'application/vnd.docker.image.rootfs.diff.tar'

/** The descriptor under which a blob of unknown compression is applied. */
export function sniffed({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Descriptor {
  return { mediaType: SNIFFED, digest, size }
}

/** Whether the layer is an archive. Only then does another blob of the same diff ID give the same snapshot. */
export function isArchive({ mediaType }: Descriptor): boolean {
  return isLayer(mediaType) && !isErofsLayer(mediaType)
}
