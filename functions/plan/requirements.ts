/** What a profile asks of a plan: refusals for what could not work, warnings for what works otherwise than one thinks. */
import { LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { LABEL, SNAPSHOT_PREFIX } from '../image/label-names.ts'
import { isEncrypted } from '../image/media-type.ts'
import { quote, quoteSome } from '../image/quote.ts'
import type { PlanLayer, PlanWarning } from './document.ts'
import { isMapping, isSnapshotLabel } from './labels.ts'
import { isOneOf, lacking } from './profiles.ts'
import type { AnnotationNeed, Profile } from './profiles.ts'

const CHAIN_LABELS: readonly string[] = [LABEL.snapshotRef, LABEL.diffID, LABEL.parentChainID]

/** PLAN_LABEL_REQUIRED when the image lacks the annotations without which its containers would fail. */
export function requireAnnotations(profile: Profile, layers: readonly Descriptor[]): void {
  for (const need of profile.annotations) {
    if (need.missing !== 'refuse' || lacking(need, layers).length === 0) continue
    throw new LayercastError('PLAN_LABEL_REQUIRED', `profile ${profile.name}: ${describe(need, layers)}`, {
      fix: `Convert the image for this snapshotter, or choose another profile. ${profile.whenMissing}`,
      detail: { profile: profile.name, annotations: need.anyOf, layers: lacking(need, layers) },
    })
  }
}

/** PLAN_LABEL_REQUIRED when a layer would go without a label that the snapshotter cannot do without. */
export function requireLabels(profile: Profile, layers: readonly PlanLayer[]): void {
  for (const [index, layer] of layers.entries()) {
    const missing = profile.requires.filter((key) => layer.labels[key] === undefined)
    if (missing.length === 0) continue
    throw new LayercastError(
      'PLAN_LABEL_REQUIRED',
      `profile ${profile.name}: layer ${index} (${layer.descriptor.digest}) would go without ${missing.join(', ')}`,
      {
        fix: `Plan with labels "cri", or choose another profile. ${profile.whenMissing}`,
        detail: { profile: profile.name, layer: index, missing },
      },
    )
  }
}

/** Warnings of what the snapshotter will do without the labels or annotations that it reads. */
export function profileWarnings(
  profile: Profile,
  snapshotter: string,
  layers: readonly Descriptor[],
  labelsOff: boolean,
): PlanWarning[] {
  const warnings: PlanWarning[] = []
  if (profile.name === 'generic') {
    const detail = `layercast does not know the snapshotter ${quote(snapshotter)}: every label is given`
    warnings.push({ code: 'SNAPSHOTTER_UNKNOWN', detail })
  }
  const unread = profile.reads.filter((key) => key.startsWith(`${SNAPSHOT_PREFIX}cri.`))
  if (labelsOff && unread.length > 0) {
    const detail = `labels are off, and ${profile.name} reads ${unread.join(', ')}. ${profile.whenMissing}`
    warnings.push({ code: 'LABELS_OFF', detail })
  }
  for (const need of profile.annotations) {
    if (need.missing === 'refuse' || lacking(need, layers).length === 0) continue
    warnings.push({ code: 'ANNOTATION_MISSING', detail: `${describe(need, layers)}. ${profile.whenMissing}` })
  }
  const written = layers.flatMap((layer) =>
    Object.keys(layer.annotations ?? {}).filter((key) => isOneOf(profile.writes, key)),
  )
  if (written.length > 0) {
    const detail = `the image itself brings annotations that are the snapshotter's to set, and that are left out: ${quoteSome([...new Set(written)])}`
    warnings.push({ code: 'ANNOTATION_RESERVED', detail })
  }
  return warnings
}

/** Warnings of what is odd about the layers themselves: one for each layer and oddity. */
export function layerWarnings(layers: readonly Descriptor[]): PlanWarning[] {
  return layers.flatMap((layer, index) => {
    const inherited = Object.entries(layer.annotations ?? {}).filter(([key]) => isSnapshotLabel(key))
    const empty = inherited.flatMap(([key, value]) => (value === '' ? [key] : []))
    const reserved = inherited.flatMap(([key, value]) => (value !== '' && isReserved(key) ? [key] : []))
    const mappings = Object.keys(layer.annotations ?? {}).filter(isMapping)
    const warnings: PlanWarning[] = []
    if (isEncrypted(layer.mediaType)) {
      const detail = `layer ${index} is encrypted: the node needs containerd's decryption and the key`
      warnings.push({ code: 'LAYER_ENCRYPTED', detail })
    }
    if (empty.length > 0) {
      const detail = `layer ${index}: empty annotations make no label, because containerd stores none: ${quoteSome(empty)}`
      warnings.push({ code: 'LABEL_EMPTY', detail })
    }
    if (mappings.length > 0) {
      const detail = `layer ${index}: the image asks for owners to be mapped, which is not an image's to ask; no label is made of ${quoteSome(mappings)}`
      warnings.push({ code: 'MAPPING_DROPPED', detail })
    }
    if (reserved.length > 0) {
      const detail = `layer ${index}: the image itself brings annotations that are the unpacker's to set: ${quoteSome(reserved)}`
      warnings.push({ code: 'ANNOTATION_RESERVED', detail })
    }
    return warnings
  })
}

function isReserved(key: string): boolean {
  return CHAIN_LABELS.includes(key) || key.startsWith(`${SNAPSHOT_PREFIX}cri.`)
}

function describe(need: AnnotationNeed, layers: readonly Descriptor[]): string {
  const keys = need.anyOf.join(' or ')
  if (need.on === 'someLayer') return `no layer has the annotation ${keys}`
  const without = lacking(need, layers)
  return `${without.length} of ${layers.length} layers lack the annotation ${keys}`
}
