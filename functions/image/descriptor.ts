import type { Digest } from './digest.ts'

/** An OCI content descriptor (image-spec 1.1, "OCI Content Descriptors"), as far as layercast uses it. */
export interface Descriptor {
  mediaType: string
  digest: Digest
  /** In bytes. */
  size: number
  annotations?: Record<string, string>
}
