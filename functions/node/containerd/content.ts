/** The content store of a namespace, by the daemon's content service. */
import { create } from '@bufbuild/protobuf'
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import { blobFix } from '../../image/blob-fixes.ts'
import { parseDigest, type Digest } from '../../image/digest.ts'
import type { ContentInfo, ContentStore, Labels } from '../ports.ts'
import type { Connection } from './connection.ts'
import { labelPaths, toDate } from './convert.ts'
import { Content, InfoSchema, type Info } from './proto/gen/content_pb.js'
import { replaceBlob } from './replace.ts'
import { writeBlob } from './write.ts'

/** The daemon's content store, as one namespace sees it. Errors as the port says. */
export function containerdContent(connection: Connection): ContentStore {
  const client = connection.client(Content)
  const missing = {
    notFound: 'BLOB_NOT_FOUND',
    fix: blobFix(),
  } as const
  const call = <T>(verb: string, digest: Digest, run: () => Promise<T>): Promise<T> =>
    connection.call(`${verb} blob ${digest}`, run, missing)

  const info = async (digest: Digest): Promise<ContentInfo> =>
    toInfo((await call('find', digest, () => client.info({ digest }))).info)

  const label = async (digest: Digest, labels: Labels): Promise<ContentInfo> => {
    // An Update without field paths replaces every label.
    if (Object.keys(labels).length === 0) return info(digest)
    const answer = await call('label', digest, () =>
      client.update({
        info: create(InfoSchema, { digest, labels }),
        updateMask: create(FieldMaskSchema, { paths: labelPaths(labels) }),
      }),
    )
    return toInfo(answer.info)
  }

  return {
    info,
    label,

    async *read(digest, { offset = 0, length } = {}): AsyncGenerator<Uint8Array> {
      if (length === 0) {
        // In the request a size of 0 asks for everything.
        await info(digest)
        return
      }
      const request = { digest, offset: BigInt(offset), size: BigInt(length ?? 0) }
      const answers = connection.stream(`read blob ${digest}`, (signal) => client.read(request, { signal }), missing)
      for await (const { data } of answers) yield data
    },

    async write(expected, data, labels = {}): Promise<void> {
      const stored = await writeBlob(connection, expected, data, labels)
      if (stored === 'exists') await label(expected.digest, labels)
    },

    replace: (expected, data, labels = {}) =>
      replaceBlob(connection, (one) => containerdContent(one), { expected, data, labels }),

    async *list(): AsyncGenerator<ContentInfo> {
      const answers = connection.stream('list the blobs', (signal) => client.list({}, { signal }))
      for await (const answer of answers) yield* answer.info.map(toInfo)
    },

    async remove(digest): Promise<void> {
      await call('remove', digest, () => client.delete({ digest }))
    },
  }
}

function toInfo(info: Info | undefined): ContentInfo {
  const { digest, size, labels, createdAt, updatedAt } = info ?? create(InfoSchema)
  return {
    digest: parseDigest(digest),
    size: Number(size),
    labels: { ...labels },
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  }
}
