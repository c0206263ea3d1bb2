/** The labels of blobs that keep an image from the garbage collector and say where it came from (containerd/FACTS.md section 7). */
import type { Descriptor } from '../image/descriptor.ts'
import { DISTRIBUTION_SOURCE, GC_REF_CONTENT, MAX_LABEL_BYTES } from '../image/label-names.ts'
import type { Manifest } from '../image/manifest.ts'
import { isConfig, isIndex, isLayer, isManifest } from '../image/media-type.ts'
import { parseReference } from '../image/reference.ts'

/** The labels of a manifest blob that keep its config and layers while it is kept (containerd/FACTS.md section 7). */
export function manifestGcLabels(manifest: Manifest): Record<string, string> {
  return childLabels([manifest.config, ...manifest.layers])
}

/** The labels of an index blob that keep those of its children that are there. */
export function indexGcLabels(children: readonly Descriptor[]): Record<string, string> {
  return childLabels(children)
}

function childLabels(children: readonly Descriptor[]): Record<string, string> {
  const counts = new Map<string, number>()
  const labels: Record<string, string> = {}
  for (const { mediaType, digest } of children) {
    const group = groupOf(mediaType)
    const count = counts.get(group) ?? 0
    counts.set(group, count + 1)
    labels[group === 'config' ? `${GC_REF_CONTENT}.config` : `${GC_REF_CONTENT}.${group}${count}`] = digest
  }
  return labels
}

function groupOf(mediaType: string): string {
  if (isManifest(mediaType) || isIndex(mediaType)) return 'm.'
  if (isLayer(mediaType)) return 'l.'
  return isConfig(mediaType) ? 'config' : ''
}

/**
 * The label that says where a blob may be had again: registry and repository. A blob of several repositories of one
 * registry has them all, comma-joined and sorted. As containerd has it, the key is the registry's host without its port.
 */
export function sourceLabel(reference: string, existing: Record<string, string>): Record<string, string> {
  const { domain, path } = parseReference(reference)
  const key = `${DISTRIBUTION_SOURCE}${hostOf(domain)}`
  const repositories = new Set(existing[key]?.split(',').filter((repository) => repository !== ''))
  repositories.add(path)
  const value = [...repositories].sort().join(',')
  return key.length + value.length > MAX_LABEL_BYTES ? {} : { [key]: value }
}

/** A registry's host without its port, and an IPv6 address without its brackets. */
export function hostOf(domain: string): string {
  return /^\[(.*)\](?::\d+)?$/.exec(domain)?.[1] ?? domain.replace(/:\d+$/, '')
}
