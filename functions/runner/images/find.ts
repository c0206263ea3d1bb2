/** Finds an image that the node has, and reads its documents. */
import type { Backend } from '../../node/ports.ts'
import { heldDocuments } from '../content/documents.ts'
import { withHealing, type HealingOptions } from './healing.ts'
import { namedImage, type NamedImage } from './named-image.ts'
import { platformOf, readPreferred, type PlatformChoice } from './platform-choice.ts'
import { findRecord } from './record.ts'

export interface FindOptions extends PlatformChoice, HealingOptions {}

/**
 * The image that a text means: a name of the node's store, as it is and then normalised, or an image's ID or digest. Nothing
 * is changed, but for a document that one of `sources` heals.
 * IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS, REFERENCE_INVALID, PLATFORM_*, BLOB_NOT_FOUND, DIGEST_MISMATCH, and those of the document
 * parsers.
 */
export async function findImage(backend: Backend, text: string, options: FindOptions = {}): Promise<NamedImage> {
  const { name, target } = await findRecord(backend, text, platformOf(options))
  return await withHealing(backend, { reference: name, target: target.digest }, options, async (heal) => {
    const read = heldDocuments(backend.content, heal)
    return namedImage(name, await readPreferred(options, (platform) => read(target, platform)))
  })
}
