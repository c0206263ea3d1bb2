/** Warnings about the manifest and the config themselves, whatever the snapshotter. */
import type { ImageConfig } from '../image/config.ts'
import type { Manifest } from '../image/manifest.ts'
import { isConfig } from '../image/media-type.ts'
import { quote } from '../image/quote.ts'
import { isNormalReference } from '../image/reference.ts'
import type { PlanWarning } from './document.ts'

/** Warnings of what containerd accepts or does otherwise, and a registry or another tool may refuse. */
export function documentWarnings(
  reference: string,
  manifest: Manifest,
  configSize: number,
  config: ImageConfig | undefined,
): PlanWarning[] {
  const { descriptor, ownMediaType, config: stated } = manifest
  const warnings: PlanWarning[] = []
  if (!isNormalReference(reference)) {
    const detail = `${quote(reference)} is no name by which an image is pulled: a snapshotter that fetches layers under it will not find them`
    warnings.push({ code: 'REFERENCE_NOT_NORMAL', detail })
  }
  if (ownMediaType !== undefined) {
    const detail = `the manifest calls itself ${quote(ownMediaType)} and came under ${quote(descriptor.mediaType)}, which counts`
    warnings.push({ code: 'MANIFEST_TYPE_DIFFERS', detail })
  }
  if (config !== undefined && !isConfig(stated.mediaType)) {
    const detail = `the config is of type ${quote(stated.mediaType)} and reads as an image's: the layers are unpacked, which containerd itself would not do`
    warnings.push({ code: 'CONFIG_UNTYPED', detail })
  }
  if (stated.size !== configSize) {
    const detail = `the manifest says that its config has ${stated.size} bytes, and it has ${configSize}: a registry's client will refuse it`
    warnings.push({ code: 'CONFIG_SIZE_WRONG', detail })
  }
  return warnings
}

/** A warning where the config does not say what it is made for. */
export function platformWarnings(config: ImageConfig | undefined): PlanWarning[] {
  if (config === undefined || (config.platform.os !== '' && config.platform.architecture !== '')) return []
  const missing = (['os', 'architecture'] as const).filter((key) => config.platform[key] === '')
  return [{ code: 'PLATFORM_INCOMPLETE', detail: `the config does not say its ${missing.join(' and ')}` }]
}
