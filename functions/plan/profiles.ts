/** What the snapshotters need, as data. `GET /v1/snapshotters` shows it as it stands here. */
import { LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { LABEL, SNAPSHOT_PREFIX } from '../image/label-names.ts'
import { quote } from '../image/quote.ts'
import type { BlobNeed } from './document.ts'

/** An annotation that makes a layer one of the snapshotter's own format. */
export interface AnnotationNeed {
  /** Any one of these will do. */
  anyOf: readonly string[]
  /** Whether every layer needs one, or the image as a whole. */
  on: 'everyLayer' | 'someLayer'
  /** Whether a plan is refused without it, or carries a warning. */
  missing: 'refuse' | 'warn'
}

export interface Profile {
  name: string
  title: string
  /** The snapshotter names that it is inferred from. */
  snapshotters: readonly string[]
  /**
   * Where the content is: `local` unpacked on the node; `lazy` fetched by the snapshotter as files are read; `guest`
   * pulled inside the virtual machine; `network` in a file system shared over the network; `unknown`.
   */
  content: 'local' | 'lazy' | 'guest' | 'network' | 'unknown'
  /** Whether Prepare may answer AlreadyExists because the snapshotter took the layer itself. */
  mayTake: boolean
  /** Whether the node needs a layer's blob. */
  blob: BlobNeed
  /** The same for layers that carry an annotation; the first that fits counts. */
  blobByAnnotation: readonly { annotation: string; blob: BlobNeed }[]
  /** The labels that every layer must carry. */
  requires: readonly string[]
  /** The labels that it reads where they are there, besides. One that ends in `*` stands for all that begin so. */
  reads: readonly string[]
  /** The labels that the snapshotter itself writes on layers and reads again later. No plan gives them. Spelt as `reads`. */
  writes: readonly string[]
  /** Labels of a snapshot, any of which says that its layer is not unpacked on the node. Empty where all layers are, or nothing says it. */
  lazyLabels: readonly string[]
  /** Files in the root of a lazy layer that its tree does not show. */
  hides: readonly string[]
  annotations: readonly AnnotationNeed[]
  /** What happens on the node when a label or annotation is missing, in one sentence. */
  whenMissing: string
  /** What is to be done where no layer is lazy, in a few sentences; empty where none ever is. */
  whenNotLazy: string
}

const CRI_LABELS = [LABEL.imageRef, LABEL.manifestDigest, LABEL.layerDigest, LABEL.imageLayers] as const
const NYDUS_BOOTSTRAP = `${SNAPSHOT_PREFIX}nydus-bootstrap`
const NYDUS_BLOB = `${SNAPSHOT_PREFIX}nydus-blob`
const STARGZ_TOC = `${SNAPSHOT_PREFIX}stargz/toc.digest`
const STARGZ = `${SNAPSHOT_PREFIX}remote/stargz.`
const SOCI = `${SNAPSHOT_PREFIX}remote/soci.`
const URLS = [`${SNAPSHOT_PREFIX}remote/urls`, `${SNAPSHOT_PREFIX}remote/urls.*`] as const
const OVERLAYBD = `${SNAPSHOT_PREFIX}overlaybd/`
const OVERLAYBD_DIGEST = `${OVERLAYBD}blob-digest`
const OVERLAYBD_SIZE = `${OVERLAYBD}blob-size`
/** What stargz's, soci's, overlaybd's and cvmfs's snapshotters write on a layer that they took. */
const REMOTE = `${SNAPSHOT_PREFIX}remote`
const NYDUS_PROXY = `${SNAPSHOT_PREFIX}nydus-proxy-mode`
const named = (...names: string[]): string[] => names.map((name) => `${SNAPSHOT_PREFIX}${name}`)
/** All that nydus's snapshotter writes, in whatever mode it runs. */
const NYDUS_WRITES = [
  REMOTE,
  NYDUS_PROXY,
  ...named('nydus-tarfs', 'nydus-image-block', 'nydus-layer-block', 'nydus-index-alternative'),
  ...named('stargz', 'pullsecret', 'pullusername'),
]
// Without the namespace it does not start again: it could not take anew what it took.
const SOCI_WRITES = [REMOTE, ...named('remote/namespace', 'remote/has.soci.index.digest')]
const OVERLAYBD_WRITES = [REMOTE, ...named('overlaybd.localcommitpath', 'overlaybd.writable', 'type')]

const LOCAL = {
  content: 'local',
  mayTake: false,
  blob: 'required',
  blobByAnnotation: [],
  requires: [],
  reads: [],
  writes: [],
  lazyLabels: [],
  hides: [],
  annotations: [],
  whenMissing: 'Nothing: it reads none of these labels.',
  whenNotLazy: '',
} as const satisfies Partial<Profile>

const LAZY = {
  content: 'lazy',
  mayTake: true,
  blob: 'fallback',
  blobByAnnotation: [],
  requires: [],
  writes: [REMOTE],
  lazyLabels: [REMOTE],
  hides: [],
  annotations: [],
  whenNotLazy: "The snapshotter's log says why.",
} as const satisfies Partial<Profile>

/** The name of the profile for snapshotters that layercast does not know. */
const GENERIC = 'generic'

/** Every profile, those of local snapshotters first and the generic one last. */
export const PROFILES: readonly Profile[] = [
  ...['overlayfs', 'native', 'btrfs', 'zfs', 'devmapper', 'blockfile', 'fuse-overlayfs'].map(local),
  {
    ...LOCAL,
    name: 'erofs',
    title: 'erofs: layers as EROFS images on the node',
    snapshotters: ['erofs'],
    reads: [LABEL.snapshotRef, LABEL.diffID, `${SNAPSHOT_PREFIX}max-size`],
    whenMissing: 'Its layer cache is not used.',
  },
  {
    name: 'nydus',
    title: 'nydus in proxy mode: images pulled inside the guest',
    snapshotters: ['nydus', 'nydus-snapshotter'],
    content: 'guest',
    mayTake: true,
    blob: 'none',
    blobByAnnotation: [],
    requires: [LABEL.snapshotRef, LABEL.layerDigest, LABEL.imageRef],
    reads: [],
    writes: NYDUS_WRITES,
    lazyLabels: [NYDUS_PROXY],
    hides: [],
    annotations: [],
    whenMissing: 'Prepare fails: missing CRI reference annotation for snapshot N.',
    whenNotLazy: "See whether nydus's snapshotter runs in proxy mode (fs_driver in its configuration).",
  },
  {
    ...LAZY,
    name: 'nydus-rafs',
    title: 'nydus with a RAFS image: data fetched as it is read',
    snapshotters: ['nydus-rafs'],
    blobByAnnotation: [
      { annotation: NYDUS_BOOTSTRAP, blob: 'required' },
      { annotation: NYDUS_BLOB, blob: 'none' },
    ],
    requires: [LABEL.snapshotRef, LABEL.imageRef],
    reads: [LABEL.layerDigest, LABEL.manifestDigest],
    writes: NYDUS_WRITES,
    // It takes every layer with this annotation and no other.
    lazyLabels: [NYDUS_BLOB],
    annotations: [
      { anyOf: [NYDUS_BOOTSTRAP], on: 'someLayer', missing: 'refuse' },
      { anyOf: [NYDUS_BOOTSTRAP, NYDUS_BLOB], on: 'everyLayer', missing: 'warn' },
    ],
    whenMissing: 'Unpacking works, and the container fails later: failed to find image ref of snapshot.',
  },
  {
    ...LAZY,
    name: 'nydus-tarfs',
    title: 'nydus with plain images: tarfs, referrer, index or eStargz',
    snapshotters: ['nydus-tarfs'],
    reads: [LABEL.imageRef, LABEL.manifestDigest, LABEL.layerDigest],
    writes: NYDUS_WRITES,
    // A layer that it takes by a referrer has no mark.
    lazyLabels: [],
    whenMissing: 'It warns, and the layer is unpacked on the node.',
  },
  {
    ...LAZY,
    name: 'stargz',
    title: 'stargz: eStargz layers fetched as they are read',
    snapshotters: ['stargz', 'estargz', 'stargz-snapshotter'],
    reads: [
      LABEL.imageRef,
      LABEL.layerDigest,
      LABEL.imageLayers,
      STARGZ_TOC,
      ...['reference', 'digest', 'layers', 'prefetch', 'skipverify'].map((name) => `${STARGZ}${name}`),
      ...URLS,
    ],
    // Its file system shows neither the table of contents nor the marks of what is fetched first.
    hides: ['stargz.index.json', '.prefetch.landmark', '.no.prefetch.landmark'],
    annotations: [{ anyOf: [STARGZ_TOC], on: 'everyLayer', missing: 'warn' }],
    whenMissing: 'The layer is silently unpacked on the node.',
    whenNotLazy:
      "See whether the snapshotter reaches the image's registry under the very name of the image, and whether the layers are eStargz; its log says why.",
  },
  {
    ...LAZY,
    name: 'soci',
    title: 'soci: layers fetched as they are read, by a separate index',
    snapshotters: ['soci', 'soci-snapshotter'],
    reads: [
      LABEL.imageRef,
      LABEL.layerDigest,
      LABEL.manifestDigest,
      LABEL.imageLayers,
      `${SOCI}size`,
      `${SNAPSHOT_PREFIX}remote/image.layers.size`,
      `${SOCI}index.digest`,
      `${SOCI}header.*`,
    ],
    writes: SOCI_WRITES,
    whenMissing: 'The layer is unpacked on the node; where soci pulls in parallel, Prepare fails.',
    whenNotLazy:
      "See whether the snapshotter reaches the image's registry under the very name of the image, and whether the image has a SOCI index there. soci remembers a failure for the manifest's digest: restart it before the image is unpacked again.",
  },
  {
    ...LAZY,
    name: 'overlaybd',
    title: 'overlaybd: layers as block devices, fetched as they are read',
    snapshotters: ['overlaybd'],
    // An acceleration layer is kept on the node.
    blobByAnnotation: [{ annotation: `${OVERLAYBD}acceleration-layer`, blob: 'required' }],
    reads: [
      OVERLAYBD_DIGEST,
      OVERLAYBD_SIZE,
      `${SNAPSHOT_PREFIX}image-ref`,
      LABEL.imageRef,
      `${OVERLAYBD}blob-fs-type`,
      `${OVERLAYBD}acceleration-layer`,
      `${OVERLAYBD}download-remote-blob`,
      `${OVERLAYBD}turbo-oci/*`,
    ],
    writes: OVERLAYBD_WRITES,
    annotations: [
      { anyOf: [OVERLAYBD_DIGEST], on: 'everyLayer', missing: 'warn' },
      { anyOf: [OVERLAYBD_SIZE], on: 'everyLayer', missing: 'warn' },
    ],
    whenMissing: 'The layer is silently unpacked on the node as an ordinary one.',
  },
  {
    ...LAZY,
    name: 'cvmfs',
    title: 'cvmfs: layers from a CernVM file system',
    snapshotters: ['cvmfs', 'cvmfs-snapshotter'],
    content: 'network',
    reads: [LABEL.layerDigest],
    whenMissing: 'The layer is unpacked on the node.',
  },
  {
    ...LAZY,
    name: GENERIC,
    title: 'any other snapshotter: every label, blobs fetched where it does not take the layer',
    snapshotters: [],
    content: 'unknown',
    reads: [LABEL.snapshotRef, ...CRI_LABELS],
    // A snapshotter that nobody knows may be any of these under another name.
    writes: [...new Set([...NYDUS_WRITES, ...SOCI_WRITES, ...OVERLAYBD_WRITES])],
    lazyLabels: [REMOTE, NYDUS_PROXY],
    whenMissing: 'Unknown.',
  },
]

/** A snapshotter that unpacks every layer on the node and reads no labels of the image. */
function local(name: string): Profile {
  return { ...LOCAL, name, title: `${name}: layers unpacked on the node`, snapshotters: [name] }
}

/** Whether a label is one of these, each spelt out or, with `*` at its end, by its beginning. */
export function isOneOf(patterns: readonly string[], key: string): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? key.startsWith(pattern.slice(0, -1)) : key === pattern))
}

/** Names that containerd takes for a plugin and that go into a label's key. */
const IDENTIFIER = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/
const MAX_NAME = 76

/** Whether a name is an identifier by containerd's rule. */
export function isIdentifier(name: string): boolean {
  return name.length <= MAX_NAME && IDENTIFIER.test(name)
}

/** Checks a snapshotter's name by containerd's rule for identifiers; SNAPSHOTTER_INVALID otherwise. */
export function checkSnapshotterName(name: string): string {
  if (isIdentifier(name)) return name
  throw new LayercastError('SNAPSHOTTER_INVALID', `${quote(name)} is not a snapshotter's name`, {
    fix: `Use letters and digits with single ".", "_" or "-" between them, ${MAX_NAME} characters at most, such as overlayfs.`,
    detail: { snapshotter: name.slice(0, 256) },
  })
}

/** The profile of this name; PROFILE_UNKNOWN, naming those there are, when there is none. */
export function profileNamed(name: string): Profile {
  const profile = PROFILES.find((candidate) => candidate.name === name)
  if (profile !== undefined) return profile
  const known = PROFILES.map((candidate) => candidate.name)
  throw new LayercastError('PROFILE_UNKNOWN', `there is no profile ${quote(name)}`, {
    fix: `Use one of ${known.join(', ')}, or none, to go by the snapshotter's name.`,
    detail: { profile: name.slice(0, 256), known },
  })
}

/** The profile of a plan; the generic one where the plan names one that this version does not know. */
export function profileOf(plan: { profile: string }): Profile {
  return PROFILES.find(({ name }) => name === plan.profile) ?? profileNamed(GENERIC)
}

/**
 * The profile that goes with a snapshotter's name and, for nydus, with the layers: a RAFS image is told by its
 * bootstrap layer. Unknown names get the generic profile.
 */
export function inferProfile(snapshotter: string, layers: readonly Descriptor[]): Profile {
  const profile = PROFILES.find((candidate) => candidate.snapshotters.includes(snapshotter)) ?? profileNamed(GENERIC)
  const isRafs = profile.name === 'nydus' && layers.some((layer) => hasAnnotation(layer, NYDUS_BOOTSTRAP))
  return isRafs ? profileNamed('nydus-rafs') : profile
}

/**
 * The layer without annotations that are labels which the snapshotter itself writes. containerd hands them on, and the snapshotter
 * would take the image's word for its own: an image with `remote` on a layer leaves stargz and soci unable to start again.
 */
export function withoutWritten({ writes }: Profile, layer: Descriptor): Descriptor {
  const kept = Object.entries(layer.annotations ?? {}).filter(([key]) => !isOneOf(writes, key))
  return { ...layer, annotations: Object.fromEntries(kept) }
}

/** Whether the node needs this layer's blob. */
export function blobNeed(profile: Profile, layer: Descriptor): BlobNeed {
  return profile.blobByAnnotation.find(({ annotation }) => hasAnnotation(layer, annotation))?.blob ?? profile.blob
}

/** The layers, by their place, that lack an annotation which the profile needs of them. */
export function lacking(need: AnnotationNeed, layers: readonly Descriptor[]): number[] {
  const without = layers.flatMap((layer, index) => (need.anyOf.some((key) => hasAnnotation(layer, key)) ? [] : [index]))
  return need.on === 'everyLayer' || without.length === layers.length ? without : []
}

function hasAnnotation(layer: Descriptor, key: string): boolean {
  return (layer.annotations?.[key] ?? '') !== ''
}
