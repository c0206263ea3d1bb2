/** The leases of a namespace, by the daemon's leases service. */
import { randomBytes } from 'node:crypto'
import { GC_EXPIRE } from '../../image/label-names.ts'
import type { HeldSnapshot, Lease, Leases } from '../ports.ts'
import type { Connection } from './connection.ts'
import { toDate } from './convert.ts'
import { Leases as LeasesService } from './proto/gen/leases_pb.js'

const SNAPSHOTS = 'snapshots/'
const DAY = 24 * 60 * 60

/** The daemon's leases in one namespace. Errors as the port says. */
export function containerdLeases(connection: Connection): Leases {
  const client = connection.client(LeasesService)
  return {
    async create({ id = newID(), expiresInSeconds = DAY, labels = {} } = {}): Promise<Lease> {
      // RFC 3339 to the second, which the garbage collector of every version parses.
      const expires = new Date(Date.now() + expiresInSeconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
      const { lease } = await connection.call(`create lease ${id}`, () =>
        client.create({ id, labels: { [GC_EXPIRE]: expires, ...labels } }),
      )
      return { id: lease?.id ?? id, labels: { ...lease?.labels }, createdAt: toDate(lease?.createdAt) }
    },

    async hold(id, snapshotter, names): Promise<void> {
      for (const name of names) {
        const resource = { id: name, type: `${SNAPSHOTS}${snapshotter}` }
        await connection.call(`hold snapshot ${name} by lease ${id}`, () => client.addResource({ id, resource }))
      }
    },

    async held(id): Promise<HeldSnapshot[]> {
      const { resources } = await connection.call(`see what lease ${id} holds`, () => client.listResources({ id }))
      const snapshots = resources.filter(({ type }) => type.startsWith(SNAPSHOTS))
      return snapshots.map((resource) => ({ snapshotter: resource.type.slice(SNAPSHOTS.length), key: resource.id }))
    },

    async delete(id, { sync = false } = {}): Promise<void> {
      await connection.call(`delete lease ${id}`, () => client.delete({ id, sync }))
    },

    async *list(): AsyncGenerator<Lease> {
      const { leases } = await connection.call('list the leases', () => client.list({}))
      yield* leases.map((lease) => ({ id: lease.id, labels: { ...lease.labels }, createdAt: toDate(lease.createdAt) }))
    },
  }
}

function newID(): string {
  return `layercast-${Date.now()}-${randomBytes(6).toString('base64url')}`
}
