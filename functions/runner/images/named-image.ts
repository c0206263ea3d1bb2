/** An image of one platform by its name: what is found on the node, and what is inspected in a source. */
import type { Descriptor } from '../../image/descriptor.ts'
import { isNormalReference } from '../../image/reference.ts'
import type { PlanInput } from '../../plan/plan.ts'
import { bare, type Documents } from '../content/documents.ts'

export interface NamedImage {
  /** The name of the image on the node, and the reference of its plans. */
  reference: string
  /** What the name points to: an index or the manifest. */
  target: Descriptor
  /** Of the manifest: its media type, digest and size. */
  descriptor: Descriptor
  manifest: Uint8Array
  mediaType: string
  config: Uint8Array
}

export function namedImage(reference: string, { indexes, manifest, config }: Documents): NamedImage {
  return {
    reference,
    target: bare((indexes[0] ?? manifest).descriptor),
    descriptor: bare(manifest.descriptor),
    manifest: manifest.bytes,
    mediaType: manifest.descriptor.mediaType,
    config: config.bytes,
  }
}

/** What the planner needs of an image: its documents, and its name, which is taken to the letter where it is not normal. */
export function imageInput({
  reference,
  manifest,
  mediaType,
  config,
}: NamedImage): Pick<PlanInput, 'reference' | 'referenceForm' | 'manifest' | 'mediaType' | 'config'> {
  const form = isNormalReference(reference) ? {} : { referenceForm: 'store' as const }
  return { reference, ...form, manifest, mediaType, config }
}
