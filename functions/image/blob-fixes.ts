/** What a user can do about a blob that is missing, damaged or suspect: the fixes that errors of several rooms share. */
const SOURCES = 'oci:DIR, oci-archive:FILE, docker-archive:FILE or docker://NAME'

const BLOB_FIX =
  `Name a source that has them (--source ${SOURCES}; --source registry for where the image came from), or a snapshotter ` +
  "under which the image is unpacked (--from-snapshotter NAME); or import the image again: 'layercast image import SOURCE'."

/** The fix for a damaged blob, whose bytes are not those of its digest. */
export const DAMAGED_FIX =
  `Have it fetched anew: name a source (--source ${SOURCES}; --source registry for where the image came from), or run ` +
  "'layercast image import SOURCE'. 'layercast content check' names every damaged blob."

/** The fix for content that is not as the image says, where the blob may be damaged or the image built wrongly. */
export const SUSPECT_FIX =
  "See with 'layercast content check' whether the blob is damaged, and have it fetched anew then ('layercast image import " +
  "SOURCE', or --source SOURCE); where it is not, the image was built wrongly."

/**
 * The fix for a missing blob.
 * @param fixes what to do about the blob providers that the user named and that do not help; it comes first
 */
export function blobFix(fixes: readonly string[] = []): string {
  return [...fixes.map((fix) => (fix.endsWith('.') ? fix : `${fix}.`)), BLOB_FIX].join(' ')
}
