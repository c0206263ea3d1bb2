/** OCI content descriptors: media type, digest and size of a blob. */
import type { Digest } from './digest.ts'
import type { Field } from './fields.ts'

/** As image-spec 1.1 has it ("OCI Content Descriptors"), as far as layercast uses it. */
export interface Descriptor {
  mediaType: string
  digest: Digest
  /** In bytes. */
  size: number
  annotations?: Record<string, string>
}

/** Reads a descriptor out of a document. DIGEST_INVALID, or the document's own code, names the field by its path. */
export function readDescriptor(field: Field): Descriptor {
  field.exactly('mediaType', 'digest', 'size', 'annotations')
  const annotations = field.get('annotations').strings()
  return {
    mediaType: field.get('mediaType').string(),
    digest: field.get('digest').digest(),
    size: field.get('size').size(),
    ...(annotations !== undefined && Object.keys(annotations).length > 0 && { annotations }),
  }
}
