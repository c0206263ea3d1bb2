/** The image records of a namespace, by the daemon's images service. */
import { create } from '@bufbuild/protobuf'
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import { hasCode } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { ImageRecord, ImageStore, Labels } from '../ports.ts'
import type { Connection } from './connection.ts'
import { fromDescriptor, labelPaths, toDate, toDescriptor } from './convert.ts'
import { Images, ImageSchema, type Image } from './proto/gen/images_pb.js'

/** The daemon's image records of one namespace. Errors as the port says. */
export function containerdImages(connection: Connection): ImageStore {
  const client = connection.client(Images)
  const call = <T>(verb: string, name: string, run: () => Promise<T>): Promise<T> =>
    connection.call(`${verb} image ${name}`, run, {
      notFound: 'IMAGE_NOT_FOUND',
      fix: `\`ctr -n ${connection.namespace} images ls\` lists the images of this namespace; --namespace chooses another.`,
    })

  const put = async (name: string, target: Descriptor, labels: Labels, tries: number): Promise<ImageRecord> => {
    const image = create(ImageSchema, { name, target: fromDescriptor(target), labels })
    try {
      return toRecord((await call('create', name, () => client.create({ image }))).image)
    } catch (error) {
      if (!hasCode(error, 'ALREADY_EXISTS')) throw error
    }
    try {
      const updateMask = create(FieldMaskSchema, { paths: ['target', ...labelPaths(labels)] })
      return toRecord((await call('update', name, () => client.update({ image, updateMask }))).image)
    } catch (error) {
      // The record was deleted between the two calls.
      if (!hasCode(error, 'IMAGE_NOT_FOUND') || tries <= 1) throw error
      return put(name, target, labels, tries - 1)
    }
  }

  return {
    async get(name): Promise<ImageRecord> {
      return toRecord((await call('get', name, () => client.get({ name }))).image)
    },

    async *list(): AsyncGenerator<ImageRecord> {
      const { images } = await connection.call('list the images', () => client.list({}))
      yield* images.map(toRecord)
    },

    put: (name, target, labels = {}) => put(name, target, labels, 3),

    async remove(name): Promise<void> {
      await call('remove', name, () => client.delete({ name }))
    },
  }
}

function toRecord(image: Image | undefined): ImageRecord {
  const { name, target, labels, createdAt, updatedAt } = image ?? create(ImageSchema)
  return {
    name,
    target: toDescriptor(target),
    labels: { ...labels },
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  }
}
