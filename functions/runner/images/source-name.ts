/** What an image from a source is called on the node. */
import { basename } from 'node:path'
import { normalizeReference } from '../../image/reference.ts'
import type { ImageSource } from '../sources/source.ts'

/**
 * The image's name, in CRI's normal form: as the user says, or as the source says, or, where neither does, after its file or
 * directory and its digest, so that the same source always gives the same name. REFERENCE_INVALID, DIGEST_INVALID.
 * @param wanted what the user calls it
 */
export function nameOf(source: Pick<ImageSource, 'spec' | 'reference' | 'target'>, wanted?: string): string {
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
