import type { Descriptor } from '../../image/descriptor.ts'
import type { Applied, Applier, ApplyOptions, Mount } from '../ports.ts'
import type { Connection } from './connection.ts'
import { fromDescriptor, fromMounts, toDescriptor } from './convert.ts'
import { Diff } from './proto/gen/diff_pb.js'

/** The daemon's diff service, which reads the blob from its own content store. BLOB_NOT_FOUND where it is missing. */
export function containerdApplier(connection: Connection): Applier {
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
        { notFound: 'BLOB_NOT_FOUND', fix: 'Pull the image again, or name a source that has this blob.', signal },
      )
      // The service says nothing until it is done.
      onProgress?.(layer.size)
      const { digest, size } = toDescriptor(answer.applied)
      return { diffID: digest, size }
    },
  }
}
