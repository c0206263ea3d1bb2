/** What a user does about a blob that is missing, damaged or suspect: the fixes that errors of every room share. */
const SOURCES = 'oci:DIR, oci-archive:FILE, docker-archive:FILE or docker://NAME'

const BLOB_FIX =
  `Name a source that has them (--source ${SOURCES}; --source registry for where the image came from), or a snapshotter ` +
  "under which the image is unpacked (--from-snapshotter NAME); or bring the image again: 'layercast image import SOURCE'."

/** How a user has a blob healed whose bytes are not what its digest says. */
export const DAMAGED_FIX =
  `Have it fetched anew: name a source (--source ${SOURCES}; --source registry for where the image came from), or run ` +
  "'layercast image import SOURCE'. 'layercast content check' names every damaged blob."

/** What to do about content that is not as the image says, where the blob or the image may be to blame. */
export const SUSPECT_FIX =
  "See with 'layercast content check' whether the blob is damaged, and have it fetched anew then ('layercast image import " +
  "SOURCE', or --source SOURCE); where it is not, the image was built wrongly."

/**
 * How a user has a missing blob brought: for everyone who says that one is missing.
 * @param fixes what to do about ways that were named and do not help, which comes first
 */
export function blobFix(fixes: readonly string[] = []): string {
  return [...fixes.map((fix) => (fix.endsWith('.') ? fix : `${fix}.`)), BLOB_FIX].join(' ')
}
