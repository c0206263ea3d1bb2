/** The labels that a layer's snapshot carries, as containerd's unpacker and its CRI part make them. */
import { LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import { byteLength } from '../image/fields.ts'
import { LABEL, MAX_LABEL_BYTES, SNAPSHOT_PREFIX } from '../image/label-names.ts'
import { isLayer, isManifest } from '../image/media-type.ts'
import { quote } from '../image/quote.ts'

export interface ImageLabels {
  reference: string
  manifest: Pick<Descriptor, 'mediaType' | 'digest'>
  /** Every child of the manifest from this layer up, in its order. */
  children: readonly Pick<Descriptor, 'mediaType' | 'digest'>[]
}

export interface ChainLabels {
  diffID: Digest
  chainID: Digest
  /** Empty for the first layer. */
  parent: Digest | ''
}

/**
 * What makes a snapshotter shift owners, which is the container's to say and not the image's: containerd hands them on no
 * more from 2.3.7 and 2.4.1 on, and before, the unpack of a first layer fails with them.
 */
const MAPPINGS: readonly string[] = [`${SNAPSHOT_PREFIX}uidmapping`, `${SNAPSHOT_PREFIX}gidmapping`]

/** Whether a key asks for a mapping of owners. */
export function isMapping(key: string): boolean {
  return MAPPINGS.includes(key)
}

/** Whether a key is one that goes from a layer's annotations to its snapshot. */
export function isSnapshotLabel(key: string): boolean {
  return (key.startsWith(SNAPSHOT_PREFIX) || key === LABEL.snapshotRef) && !isMapping(key)
}

/**
 * The four labels that CRI gives to remote snapshotters, for the first of `children`; none where it is no layer, or
 * where the manifest is no manifest.
 */
export function criLabels({ reference, manifest, children }: ImageLabels): Record<string, string> {
  const [layer] = children
  if (layer === undefined || !isManifest(manifest.mediaType) || !isLayer(layer.mediaType)) return {}
  return {
    [LABEL.imageRef]: reference,
    [LABEL.manifestDigest]: manifest.digest,
    [LABEL.layerDigest]: layer.digest,
    [LABEL.imageLayers]: imageLayers(children),
  }
}

/** The labels that say where a layer stands in its chain. */
function chainLabels({ diffID, chainID, parent }: ChainLabels): Record<string, string> {
  return {
    [LABEL.snapshotRef]: chainID,
    [LABEL.diffID]: diffID,
    ...(parent !== '' && { [LABEL.parentChainID]: parent }),
  }
}

/**
 * Exactly the labels that Prepare and Commit of one layer carry: the layer's own annotations as far as containerd hands
 * them on, then CRI's, then the chain's, the later replacing the earlier. Empty ones are left out, since containerd
 * stores none, and a plan must say what will be found on the snapshot. LABEL_TOO_LARGE beyond 4096 bytes.
 * @param image for CRI's labels; undefined to leave them off
 */
export function layerLabels(
  layer: Descriptor,
  chain: ChainLabels,
  image: ImageLabels | undefined,
): Record<string, string> {
  const inherited = Object.entries(layer.annotations ?? {}).filter(([key]) => isSnapshotLabel(key))
  const labels = {
    ...Object.fromEntries(inherited),
    ...(image !== undefined && criLabels(image)),
    ...chainLabels(chain),
  }
  const kept = Object.entries(labels).filter(([, value]) => value !== '')
  for (const [key, value] of kept) checkLabel(key, value, layer.digest)
  return Object.fromEntries(kept)
}

function checkLabel(key: string, value: string, layer: Digest): void {
  const length = byteLength(key) + byteLength(value)
  if (length <= MAX_LABEL_BYTES) return
  throw new LayercastError(
    'LABEL_TOO_LARGE',
    `layer ${layer}: the label ${quote(key)} has ${length} bytes with its value, more than the ${MAX_LABEL_BYTES} of containerd`,
    {
      fix: 'Build the image with a shorter annotation: containerd refuses every unpack with this one.',
      detail: { label: key.slice(0, MAX_LABEL_BYTES), layer, size: length, limit: MAX_LABEL_BYTES },
    },
  )
}

/** As many digests of this layer and those above as fit, and none after the first that does not. */
function imageLayers(children: ImageLabels['children']): string {
  let value = ''
  for (const { mediaType, digest } of children) {
    if (!isLayer(mediaType)) continue
    const longer = value === '' ? digest : `${value},${digest}`
    if (LABEL.imageLayers.length + longer.length > MAX_LABEL_BYTES) break
    value = longer
  }
  return value
}
