/** The planner: an image and a snapshotter in, a plan out. */
import { LayercastError } from '../errors.ts'
import { parseConfig } from '../image/config.ts'
import type { ImageConfig } from '../image/config.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { verifyBytes } from '../image/digest.ts'
import type { Digest } from '../image/digest.ts'
import { parseManifest } from '../image/manifest.ts'
import type { Manifest } from '../image/manifest.ts'
import { isConfig, isLayer, isUntypedConfig } from '../image/media-type.ts'
import { formatPlatform, matchPlatform, normalizePlatform, parsePlatform } from '../image/platform.ts'
import type { Platform } from '../image/platform.ts'
import { quote, quoteSome } from '../image/quote.ts'
import { checkStoredName, normalizeReference } from '../image/reference.ts'
import { chainOf } from './chain.ts'
import { documentWarnings, platformWarnings } from './document-warnings.ts'
import { PLAN_SCHEMA, seal } from './document.ts'
import type { Planned, PlanLayer, PlanWarning } from './document.ts'
import { layerLabels } from './labels.ts'
import { blobNeed, checkSnapshotterName, inferProfile, profileNamed, withoutWritten } from './profiles.ts'
import type { Profile } from './profiles.ts'
import { layerWarnings, profileWarnings, requireAnnotations, requireLabels } from './requirements.ts'

export interface PlanInput {
  /** The image's name. It is normalised as CRI does it, since that is what the label cri.image-ref carries of a pull. */
  reference: string
  /**
   * `store` where the reference is a name out of a node's store, which is taken to the letter, because containerd labels
   * with it; `cri` by default.
   */
  referenceForm?: 'cri' | 'store' | undefined
  /** The manifest of one platform, as the very bytes that its digest names. */
  manifest: Uint8Array
  /** What the manifest was served as; without it, what the document says of itself, or else OCI's. */
  mediaType?: string | undefined
  /** The config that the manifest names, as the very bytes. */
  config: Uint8Array
  /** The snapshotter's name on the node. */
  snapshotter: string
  /** Overrides the profile that goes with the snapshotter's name and the layers' annotations. */
  profile?: string | undefined
  /** Whether to give the four labels that CRI gives; `cri` by default. */
  labels?: 'cri' | 'off' | undefined
  /** What the image must be made for. A check only: the plan carries the config's own platform. */
  platform?: string | Platform | undefined
}

/**
 * Plans an image for a snapshotter. A pure function: the same input gives the same bytes, everywhere.
 *
 * Follows containerd's unpacker: layers of types that it does not know are left out, and an image that it would take for
 * having nothing to unpack gives a plan without layers, and a warning that says why.
 *
 * Errors: those of parseManifest, parseConfig and parseReference; DIGEST_MISMATCH when the config is not the one that the
 * manifest names; LAYERS_DIFFIDS_MISMATCH; LABEL_TOO_LARGE; SNAPSHOTTER_INVALID; PROFILE_UNKNOWN; PLAN_LABEL_REQUIRED when
 * the snapshotter could not do with this plan; PLATFORM_INVALID and PLATFORM_MISMATCH; REQUEST_INVALID for input of
 * the wrong type.
 */
export function plan(input: PlanInput): Planned {
  checkTypes(input)
  const stored = input.referenceForm === 'store'
  const reference = stored ? checkStoredName(input.reference) : normalizeImageName(input.reference)
  const snapshotter = checkSnapshotterName(input.snapshotter)
  const manifest = parseManifest(input.manifest, input.mediaType)
  verifyBytes(input.config, manifest.config.digest, 'the config')
  const config = readConfig(input.config, manifest)
  const actual = config === undefined ? UNKNOWN_PLATFORM : platformOf(config)
  if (config !== undefined && input.platform !== undefined) checkPlatform(input.platform, actual)

  const { layers, warnings } = unpackable(manifest, config)
  const profile = input.profile === undefined ? inferProfile(snapshotter, layers) : profileNamed(input.profile)
  requireAnnotations(profile, layers)
  const planned = planLayers({ reference, manifest, layers, config, profile, cri: input.labels !== 'off' })
  requireLabels(profile, planned)

  return seal({
    schema: PLAN_SCHEMA,
    reference,
    snapshotter,
    profile: profile.name,
    platform: actual,
    manifest: manifest.descriptor,
    config: withoutAnnotations(manifest.config),
    layers: planned,
    chainID: planned.at(-1)?.chainID ?? '',
    requires: [...profile.requires],
    warnings: [
      ...warnings,
      ...documentWarnings(reference, manifest, input.config.length, config),
      ...platformWarnings(config),
      ...(planned.length === 0 ? [] : profileWarnings(profile, snapshotter, layers, input.labels === 'off')),
      ...layerWarnings(layers),
    ],
  })
}

const UNKNOWN_PLATFORM: Platform = { os: 'unknown', architecture: 'unknown' }

/** The layers that containerd would unpack, and why there are none or not all. */
function unpackable(
  manifest: Manifest,
  config: ImageConfig | undefined,
): { layers: Descriptor[]; warnings: PlanWarning[] } {
  if (config === undefined) {
    const detail = `the config is of type ${quote(manifest.config.mediaType)}, not an image's: there is nothing to unpack`
    return { layers: [], warnings: [{ code: 'CONFIG_NOT_IMAGE', detail }] }
  }
  const { type, diffIDs } = config.rootfs
  if (type !== '' && type !== 'layers') {
    const detail = `the config's rootfs is of type ${quote(type)}, not "layers": there is nothing to unpack`
    return { layers: [], warnings: [{ code: 'ROOTFS_NOT_LAYERS', detail }] }
  }
  const layers = manifest.layers.filter(({ mediaType }) => isLayer(mediaType))
  const skipped = manifest.layers.filter(({ mediaType }) => !isLayer(mediaType))
  const warnings = skipped.length === 0 ? [] : [skippedWarning(skipped)]
  if (layers.length === 0) {
    const detail = `the manifest has no layer that containerd unpacks, and the config has ${diffIDs.length} diff IDs`
    return { layers, warnings: [...warnings, { code: 'NO_LAYERS', detail }] }
  }
  if (layers.length !== diffIDs.length) {
    throw new LayercastError(
      'LAYERS_DIFFIDS_MISMATCH',
      `number of layers and diffIDs don't match: ${layers.length} != ${diffIDs.length}`,
      {
        fix: 'Give the config that belongs to this manifest; if it does, the image is broken and must be built again.',
        detail: { layers: layers.length, diffIDs: diffIDs.length, skipped: skipped.length },
      },
    )
  }
  return { layers, warnings }
}

function skippedWarning(skipped: readonly Descriptor[]): PlanWarning {
  const types = [...new Set(skipped.map(({ mediaType }) => mediaType))]
  const detail = `${skipped.length} of the manifest's layers are passed over, as containerd does: ${quoteSome(types)}`
  return { code: 'LAYERS_SKIPPED', detail }
}

interface LayerInput {
  reference: string
  manifest: Manifest
  layers: readonly Descriptor[]
  config: ImageConfig | undefined
  profile: Profile
  cri: boolean
}

function planLayers({ reference, manifest, layers, config, profile, cri }: LayerInput): PlanLayer[] {
  if (layers.length === 0 || config === undefined) return []
  const { diffIDs } = config.rootfs
  const chainIDs = chainOf(diffIDs)
  return layers.map((descriptor, index) => {
    const chain = {
      diffID: diffIDs[index] as Digest,
      chainID: chainIDs[index] as Digest,
      parent: index === 0 ? ('' as const) : (chainIDs[index - 1] as Digest),
    }
    const image = cri ? { reference, manifest: manifest.descriptor, children: layers.slice(index) } : undefined
    return {
      descriptor,
      ...chain,
      labels: layerLabels(withoutWritten(profile, descriptor), chain, image),
      blob: blobNeed(profile, descriptor),
    }
  })
}

/** Refuses what a JavaScript caller may pass where the types say otherwise. */
function checkTypes(input: PlanInput): void {
  const problem = typeProblem(input)
  if (problem === undefined) return
  throw new LayercastError('REQUEST_INVALID', `plan: ${problem}`, {
    fix: 'Pass reference and snapshotter as strings, and manifest and config as Uint8Array of the exact bytes.',
  })
}

function typeProblem(input: PlanInput): string | undefined {
  for (const name of ['manifest', 'config'] as const) {
    if (!isBytes(input[name])) return `${name} must be a Uint8Array, not ${typeof input[name]}`
  }
  for (const name of ['reference', 'snapshotter'] as const) {
    if (typeof input[name] !== 'string') return `${name} must be a string, not ${typeof input[name]}`
  }
  for (const name of ['mediaType', 'profile'] as const) {
    if (!['string', 'undefined'].includes(typeof input[name]))
      return `${name} must be a string, not ${typeof input[name]}`
  }
  const { platform } = input
  if (typeof platform === 'object' && (typeof platform?.os !== 'string' || typeof platform.architecture !== 'string')) {
    return 'platform must be a string or an object with os and architecture'
  }
  if (input.referenceForm !== undefined && !['cri', 'store'].includes(input.referenceForm)) {
    return `referenceForm must be "cri" or "store", not ${quote(input.referenceForm)}`
  }
  if (input.labels !== undefined && !['cri', 'off'].includes(input.labels)) {
    return `labels must be "cri" or "off", not ${quote(input.labels)}`
  }
  return undefined
}

/** `instanceof` would refuse the arrays of another realm, such as a test runner's. */
function isBytes(value: unknown): value is Uint8Array {
  return Object.prototype.toString.call(value) === '[object Uint8Array]'
}

/** CRI's name for an image by its id would parse as an image called `sha256`; nobody means that. */
function normalizeImageName(reference: string): string {
  if (/^sha(?:256|384|512):[a-f0-9]{64,128}$/.test(reference)) {
    throw new LayercastError(
      'REFERENCE_INVALID',
      `the reference ${quote(reference)} is a digest, not an image's name`,
      {
        fix: 'Give the name that the image is pulled by: snapshotters fetch its content under that.',
        detail: { reference },
      },
    )
  }
  return normalizeReference(reference)
}

/** The config, where it is an image's. What has no type of its own is one if it reads as one and has diff IDs. */
function readConfig(bytes: Uint8Array, { config: { mediaType } }: Manifest): ImageConfig | undefined {
  if (isConfig(mediaType)) return parseConfig(bytes)
  if (!isUntypedConfig(mediaType)) return undefined
  try {
    const config = parseConfig(bytes)
    return config.rootfs.diffIDs.length > 0 ? config : undefined
  } catch (error) {
    if (error instanceof LayercastError) return undefined
    throw error
  }
}

function platformOf({ platform }: ImageConfig): Platform {
  const normal = normalizePlatform(platform)
  return normal.architecture === '' ? { ...normal, architecture: 'unknown' } : normal
}

function checkPlatform(platform: string | Platform, actual: Platform): void {
  const wanted = typeof platform === 'string' ? parsePlatform(platform) : normalizePlatform(platform)
  if (matchPlatform(wanted, actual)) return
  throw new LayercastError(
    'PLATFORM_MISMATCH',
    `the image is made for ${formatPlatform(actual)}, not for ${formatPlatform(wanted)}`,
    {
      fix: 'Choose the manifest of the wanted platform out of the image index, or leave the platform out.',
      detail: { wanted: formatPlatform(wanted), actual: formatPlatform(actual) },
    },
  )
}

function withoutAnnotations({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
