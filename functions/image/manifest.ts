/** Image manifests. */
import { LayercastError } from '../errors.ts'
import { readDescriptor } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { digestBytes } from './digest.ts'
import { documentType } from './document-type.ts'
import { Field } from './fields.ts'
import { parseJSON } from './json.ts'

/** An image manifest (image-spec 1.1, "Image Manifest"; docker's image manifest version 2, schema 2). */
export interface Manifest {
  /** Of the manifest itself. */
  descriptor: Descriptor
  /** The media type in the document, where it came with another. */
  ownMediaType?: string
  config: Descriptor
  /** All entries, in order, including those that are not layers. */
  layers: Descriptor[]
}

/** The most layers that a manifest may list. Linux's overlayfs stacks 500. */
export const MAX_LAYERS = 1024

/**
 * Parses a manifest of at most 4 MiB.
 *
 * Errors: those of parseJSON and documentType, DIGEST_INVALID, DOCUMENT_FIELD_INVALID with the path of the field,
 * DOCUMENT_TOO_LARGE for too many layers or annotations.
 * @param mediaType what the manifest came with; without it the document's own counts, and then OCI's
 */
export function parseManifest(bytes: Uint8Array, mediaType?: string): Manifest {
  const document = new Field(parseJSON(bytes, { what: 'manifest', decimals: true }), 'manifest')
  const type = documentType(document, 'manifest', mediaType)
  if (document.has('rootfs')) {
    document
      .get('config')
      .fail('a descriptor', 'This is an image config: give it as the config, and the manifest that names it.')
  }
  const own = document.get('mediaType').optionalString()
  const layers = document.get('layers').items()
  if (layers.length > MAX_LAYERS) {
    throw new LayercastError(
      'DOCUMENT_TOO_LARGE',
      `manifest: ${layers.length} layers, more than the ${MAX_LAYERS} allowed`,
      {
        fix: 'Build the image with fewer layers.',
        detail: { layers: layers.length, limit: MAX_LAYERS },
      },
    )
  }
  return {
    descriptor: { mediaType: type, digest: digestBytes(bytes), size: bytes.length },
    ...(own !== undefined && own !== type && { ownMediaType: own }),
    config: readDescriptor(document.get('config')),
    layers: layers.map(readDescriptor),
  }
}
