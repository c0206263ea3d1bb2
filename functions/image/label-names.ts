/** The labels of containerd's that layercast reads and writes, each named once, and the limit that all share. */

/** In bytes, key and value together; containerd refuses the whole call beyond (pkg/labels, Validate). */
export const MAX_LABEL_BYTES = 4096

/** Of a snapshot: what the snapshotter is told of the layer. */
export const SNAPSHOT_PREFIX = 'containerd.io/snapshot/'

export const LABEL = {
  snapshotRef: 'containerd.io/snapshot.ref',
  diffID: `${SNAPSHOT_PREFIX}diff-id`,
  parentChainID: `${SNAPSHOT_PREFIX}parent-chain-id`,
  imageRef: `${SNAPSHOT_PREFIX}cri.image-ref`,
  manifestDigest: `${SNAPSHOT_PREFIX}cri.manifest-digest`,
  layerDigest: `${SNAPSHOT_PREFIX}cri.layer-digest`,
  imageLayers: `${SNAPSHOT_PREFIX}cri.image-layers`,
} as const

/** Of a blob: the diff ID that it uncompresses to. */
export const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed'

/** Of a blob, before the registry's host: the repositories that it came from, comma-joined. */
export const DISTRIBUTION_SOURCE = 'containerd.io/distribution.source.'

/** Keeps what carries it from the garbage collector. */
export const GC_ROOT = 'containerd.io/gc.root'

/** Of a lease: when it ends (RFC 3339). */
export const GC_EXPIRE = 'containerd.io/gc.expire'

/** The stem of the labels that keep a blob while what carries them is kept; `.m.0`, `.l.1`, `.config` follow. */
export const GC_REF_CONTENT = 'containerd.io/gc.ref.content'

/** The stem of the labels that keep a snapshot while what carries them is kept; `.SNAPSHOTTER` follows, and `/ANYTHING` may. */
export const GC_REF_SNAPSHOT = 'containerd.io/gc.ref.snapshot'
