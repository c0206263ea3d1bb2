/** The blobs that the `content` verbs list, check and remove. */

import { LayercastError } from '../../../errors.ts'
import type { Digest } from '../../../image/digest.ts'
import type { Backend, ContentInfo } from '../../../node/ports.ts'
import type { Context } from '../../program/context.ts'
import type { ArgumentSpec } from '../../program/spec.ts'

export const DIGESTS = {
  name: 'DIGEST',
  summary: 'a blob, such as sha256:6c3c…',
  many: true,
} as const satisfies ArgumentSpec

/** Every blob of the content store, sorted by digest. ABORTED. */
export async function listContent(context: Context, backend: Backend): Promise<ContentInfo[]> {
  const infos: ContentInfo[] = []
  for await (const info of backend.content.list()) {
    context.signal.throwIfAborted()
    infos.push(info)
  }
  return infos.sort((one, other) => (one.digest < other.digest ? -1 : 1))
}

/**
 * The digests that the user named, each once.
 *
 * @throws LayercastError DIGEST_INVALID; BLOB_NOT_FOUND for digests that the store does not list
 */
export async function namedDigests(names: readonly string[], infos: readonly ContentInfo[]): Promise<Digest[]> {
  const { parseDigest } = await import('../../../image/digest.ts')
  const listed = new Set<string>(infos.map(({ digest }) => digest))
  const digests = [...new Set(names.map((name) => parseDigest(name)))]
  const absent = digests.filter((digest) => !listed.has(digest))
  if (absent.length === 0) return digests
  throw new LayercastError('BLOB_NOT_FOUND', `the content store has no blob ${absent.join(', ')}`, {
    fix: "See what there is with 'layercast content ls'.",
    detail: { digests: absent },
  })
}

/** Names of images for a column of a table: `a`, or `a and 2 more`. */
export function imagesText(images: readonly string[]): string {
  const [first = '', ...others] = images
  return others.length === 0 ? first : `${first} and ${others.length} more`
}
