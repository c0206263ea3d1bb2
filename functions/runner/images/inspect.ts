/** Looks at the image of an open source: reads its documents and changes nothing. */
import { sourceDocuments, type Documents } from '../content/documents.ts'
import type { ImageSource } from '../sources/source.ts'
import { namedImage, type NamedImage } from './named-image.ts'
import { readPreferred, type PlatformChoice } from './platform-choice.ts'
import { nameOf } from './source-name.ts'

export interface InspectOptions extends PlatformChoice {
  /** What to call the image; what the source calls it where absent. */
  reference?: string | undefined
}

/** An image in an open source: its documents have been read, its layers have not. */
export interface SourceImage {
  source: ImageSource
  documents: Documents
  image: NamedImage
}

/** Errors: PLATFORM_*, BLOB_NOT_FOUND, DIGEST_MISMATCH, REFERENCE_INVALID, REGISTRY_*, and those of the document parsers. */
export type Inspect = (options?: InspectOptions) => Promise<SourceImage>

/** Looks at an image of the source. No document is read twice, however often it is looked at and for whatever platforms. */
export function inspecting(source: ImageSource): Inspect {
  const read = sourceDocuments((document) => source.read(document))
  return async (options = {}) => {
    const documents = await readPreferred(options, (platform) => read(source.target, platform))
    return { source, documents, image: namedImage(nameOf(source, options.reference), documents) }
  }
}
