/** Between the daemon's messages and the types of the ports. */
import { create } from '@bufbuild/protobuf'
import { timestampDate, type Timestamp } from '@bufbuild/protobuf/wkt'
import type { Descriptor } from '../../image/descriptor.ts'
import { parseDigest } from '../../image/digest.ts'
import type { Mount } from '../../linux/mount-list.ts'
import type { Labels } from '../ports.ts'
import {
  DescriptorSchema,
  MountSchema,
  type Descriptor as WireDescriptor,
  type Mount as WireMount,
} from './proto/gen/types_pb.js'

export function toDate(timestamp: Timestamp | undefined): Date {
  return timestamp === undefined ? new Date(0) : timestampDate(timestamp)
}

export function toMounts(mounts: readonly WireMount[]): Mount[] {
  return mounts.map(({ type, source, target, options }) => ({ type, source, target, options: [...options] }))
}

export function fromMounts(mounts: readonly Mount[]): WireMount[] {
  return mounts.map(({ type, source, target, options }) =>
    create(MountSchema, { type, source, target, options: [...options] }),
  )
}

export function toDescriptor(wire: WireDescriptor | undefined): Descriptor {
  const { mediaType = '', digest = '', size = 0n, annotations = {} } = wire ?? {}
  return {
    mediaType,
    digest: parseDigest(digest),
    size: Number(size),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations: { ...annotations } }),
  }
}

export function fromDescriptor(descriptor: Descriptor): WireDescriptor {
  return create(DescriptorSchema, {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: BigInt(descriptor.size),
    annotations: descriptor.annotations ?? {},
  })
}

/** The field paths of an Update that changes these labels and no others. */
export function labelPaths(labels: Labels): string[] {
  return Object.keys(labels).map((key) => `labels.${key}`)
}
