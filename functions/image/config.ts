/** The configuration of an image, as far as an unpack depends on it. */
import type { Digest } from './digest.ts'
import { Field } from './fields.ts'
import { parseJSON } from './json.ts'
import { readPlatform } from './platform.ts'
import type { Platform } from './platform.ts'

/** As image-spec 1.1 has it ("Image Configuration"). */
export interface ImageConfig {
  /** As the config has it, not normalised; empty strings where it says nothing. */
  platform: Platform
  rootfs: {
    /** `layers`, or empty. Of any other type nothing is unpacked. */
    type: string
    diffIDs: Digest[]
  }
}

/**
 * Parses an image's configuration of at most 4 MiB. Errors: those of parseJSON, DIGEST_INVALID for a diff ID,
 * DOCUMENT_FIELD_INVALID with the path of the field.
 */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const document = new Field(parseJSON(bytes, { what: 'config', decimals: true }), 'config')
  document.exactly('rootfs')
  if (document.has('layers') || document.has('manifests')) {
    document
      .get('rootfs')
      .fail('in an image config', 'This is a manifest or an index: give the config that the manifest names.')
  }
  const rootfs = document.get('rootfs')
  if (!rootfs.present) return { platform: readPlatform(document), rootfs: { type: '', diffIDs: [] } }
  rootfs.exactly('type', 'diff_ids')
  return {
    platform: readPlatform(document),
    rootfs: {
      type: rootfs.get('type').optionalString() ?? '',
      diffIDs: rootfs
        .get('diff_ids')
        .items()
        .map((diffID) => diffID.digest()),
    },
  }
}
