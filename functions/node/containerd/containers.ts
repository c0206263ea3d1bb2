/** The containers of a namespace, by the daemon's containers service. */
import type { ContainerRecord } from '../ports.ts'
import type { Connection } from './connection.ts'
import { Containers } from './proto/gen/containers_pb.js'

/** The containers of the connection's namespace, running or not. */
export async function* containers(connection: Connection): AsyncGenerator<ContainerRecord> {
  const client = connection.client(Containers)
  const answer = await connection.call('list the containers', () => client.list({}))
  for (const { id, image, snapshotter, snapshotKey, runtime, labels } of answer.containers) {
    yield { id, image, snapshotter, snapshotKey, runtime: runtime?.name ?? '', labels: { ...labels } }
  }
}
