/** Tells manifests and indexes apart, so that nobody reads one as the other. */
import { LayercastError } from '../errors.ts'
import type { Field } from './fields.ts'
import { isIndex, isManifest, isSchema1, MEDIA_TYPE } from './media-type.ts'
import { quote } from './quote.ts'

/**
 * A document is an image manifest or an index. Its bytes and the media type that it came with must agree, because a document
 * that two readers read in two ways is an attack (CVE-2021-41190).
 */
export type DocumentKind = 'manifest' | 'index'

const DUE = {
  manifest: { is: isManifest, fallback: MEDIA_TYPE.ociManifest, article: 'an image manifest' },
  index: { is: isIndex, fallback: MEDIA_TYPE.ociIndex, article: 'an image index' },
} as const

/**
 * The media type of a document that must be of this kind. Errors: MANIFEST_SCHEMA1, MANIFEST_IS_INDEX, INDEX_IS_MANIFEST,
 * MEDIA_TYPE_UNSUPPORTED, DOCUMENT_FIELD_INVALID. Where docker's type and OCI's disagree, the one that the document came with
 * counts, as in containerd: the fields are the same.
 * @param given the media type that the document came with; without it the document's own counts, and then OCI's
 */
export function documentType(document: Field, kind: DocumentKind, given?: string): string {
  document.exactly('schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'fsLayers')
  const version = document.get('schemaVersion')
  const own = document.get('mediaType').optionalString()
  const claimed = [given, own].filter((type) => type !== undefined)
  if (document.has('fsLayers') || claimed.some(isSchema1) || (version.present && version.integer() === 1)) {
    throw new LayercastError(
      'MANIFEST_SCHEMA1',
      `this ${kind} is a docker schema 1 manifest, which containerd refuses`,
      {
        fix: 'Push the image again with a present-day tool, which writes schema 2 or OCI.',
      },
    )
  }
  if (kind === 'manifest' && (document.has('manifests') || claimed.some(isIndex))) {
    throw new LayercastError('MANIFEST_IS_INDEX', 'this is an image index, where the manifest of one platform is due', {
      fix: 'Choose a manifest out of the index by its platform, and give that one.',
    })
  }
  if (kind === 'index' && (document.has('config') || document.has('layers') || claimed.some(isManifest))) {
    throw new LayercastError('INDEX_IS_MANIFEST', 'this is the manifest of one image, where an image index is due', {
      fix: 'Use it as the manifest: there is nothing to choose from.',
    })
  }
  const strange = claimed.find((type) => !DUE[kind].is(type))
  if (strange !== undefined) {
    throw new LayercastError(
      'MEDIA_TYPE_UNSUPPORTED',
      `the media type ${quote(strange)} is not that of ${DUE[kind].article}`,
      {
        fix: `Give ${DUE[kind].article} of docker's schema 2 or of OCI, such as ${DUE[kind].fallback}.`,
        detail: { mediaType: strange.slice(0, 256) },
      },
    )
  }
  if (version.present && version.integer() !== 2) version.fail('2')
  return given ?? own ?? DUE[kind].fallback
}
