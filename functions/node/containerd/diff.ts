/** Applies layers, and makes layers of snapshots, by the daemon's diff service. */
import { blobFix, DAMAGED_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Applied, Applier, ApplyOptions } from '../../layer/apply/types.ts'
import type { Mount } from '../../linux/mount-list.ts'
import type { Differ } from '../ports.ts'
import type { Connection } from './connection.ts'
import { fromDescriptor, fromMounts, toDescriptor } from './convert.ts'
import type { Meaning } from './errors.ts'
import { Diff } from './proto/gen/diff_pb.js'

// The daemon inflates by igzip or unpigz where it finds them, and by Go's packages otherwise; each has its own messages.
// Those of Go's zstd do not contain its name.
const CORRUPT = /gzip|unpigz|zstd|zlib|flate|archive\/tar|unexpected EOF|corrupt|CRC check failed|magic number mismatch/
// The kernel's refusal of a hard link without its target.
const LINK = /link \S+ \S+: no such file/
const MEANING = {
  notFound: 'BLOB_NOT_FOUND',
  fix: blobFix(),
  words: [
    [
      /no processor for media-type|unsupported diff media type|not implemented/,
      'LAYER_UNSUPPORTED',
      'Add a stream processor for this media type to containerd, or say --applier own.',
    ],
    [/fstype: format\//, 'CONTAINERD_FAILED', 'The diff service of 2.2 cannot mount these: say --applier own.'],
    [
      /unknown dictionary|window size exceeded/,
      'LAYER_UNSUPPORTED',
      'Compress the layer anew, with a window of at most 128 MiB and no dictionary.',
    ],
    [LINK, 'LAYER_CORRUPT', 'Build the image anew: a layer links to a file that is not there.'],
    [CORRUPT, 'LAYER_CORRUPT', `What containerd has of the blob cannot be unpacked. ${DAMAGED_FIX}`],
  ],
} satisfies Meaning

// Into an overlay mount the service (1.6 to 2.4) writes without the layers below (containerd/FACTS.md section 10).
const ELSEWHERE = "Leave --applier away, or say --applier own, where containerd's snapshots can be seen"
const ALONE: Meaning = {
  ...MEANING,
  words: [
    [
      LINK,
      'LAYER_UNSUPPORTED',
      `${ELSEWHERE}: containerd's diff service links to no file of a layer below. If that fails too, build the image anew.`,
    ],
    [
      // The file in the way may be the whiteout that the same layer has for the directory.
      /mkparent .*: not a directory/,
      'LAYER_UNSUPPORTED',
      `${ELSEWHERE}: containerd's diff service writes nothing below a name that the layer deletes. If that fails too, build the image anew.`,
    ],
    ...MEANING.words,
  ],
}

/** The daemon's diff service, which reads the blob from its own content store. BLOB_NOT_FOUND, LAYER_CORRUPT, LAYER_UNSUPPORTED. */
export function diffService(connection: Connection): Applier {
  const client = connection.client(Diff)
  return {
    async apply(layer: Descriptor, mounts: readonly Mount[], options: ApplyOptions = {}): Promise<Applied> {
      const { signal, onProgress } = options
      const answer = await connection.call(
        `apply layer ${layer.digest}`,
        () =>
          client.apply(
            { diff: fromDescriptor(layer), mounts: fromMounts(mounts) },
            signal === undefined ? {} : { signal },
          ),
        { ...(isOverlay(mounts) ? ALONE : MEANING), signal },
      )
      // The service tells no progress.
      onProgress?.(layer.size)
      const { digest, size } = toDescriptor(answer.applied)
      return { diffID: digest, size }
    },
  }
}

function isOverlay(mounts: readonly Mount[]): boolean {
  return mounts.some(({ type }) => type === 'overlay' || type.includes('/'))
}

/** The other direction of the daemon's diff service: a layer out of two snapshots. */
export function differ(connection: Connection): Differ {
  const client = connection.client(Diff)
  return {
    async diff(lower, upper, { mediaType, labels = {}, signal }): Promise<Descriptor> {
      const answer = await connection.call(
        'compare two snapshots',
        () =>
          client.diff(
            { left: fromMounts(lower), right: fromMounts(upper), mediaType, labels },
            signal === undefined ? {} : { signal },
          ),
        { signal },
      )
      return toDescriptor(answer.diff)
    },
  }
}
