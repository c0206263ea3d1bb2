import { basename } from 'node:path'
import { normalizeReference } from '../../image/reference.ts'
import type { ImageSource } from '../sources/open.ts'

const SPECS = ['oci:', 'oci-archive:', 'docker-archive:', 'docker://']

/** Whether the text names a source, as skopeo spells them, and not an image in the node's store. */
export function isSpec(text: string): boolean {
  return SPECS.some((prefix) => text.startsWith(prefix))
}

/** Whether the source is a registry. */
export function isRegistrySpec(text: string): boolean {
  return text.startsWith('docker://')
}

/**
 * What an image from a source is called: as the user says, as the source says, or, where neither does, after its file or
 * directory and its digest, so that the same source always gives the same name.
 */
export function referenceOf(source: Pick<ImageSource, 'spec' | 'reference' | 'target'>, wanted?: string): string {
  const said = wanted ?? source.reference
  if (said !== undefined) return normalizeReference(said)
  // A path ends at its first colon, as in the specs themselves.
  const [, path = ''] = source.spec.split(':', 2)
  const name = basename(path)
    .toLowerCase()
    .replace(/\.tar(\.gz)?$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return `localhost/${name || 'image'}@${source.target.digest}`
}
