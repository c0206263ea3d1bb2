/** The daemon's namespaces. */
import type { Connection } from './connection.ts'
import { Namespaces } from './proto/gen/namespaces_pb.js'

/** The names of the daemon's namespaces, sorted. Images and labels belong to one namespace; all share the bytes of blobs. */
export async function namespaceNames(connection: Connection): Promise<string[]> {
  const { namespaces } = await connection.call('list the namespaces', () => connection.client(Namespaces).list({}))
  return namespaces.map(({ name }) => name).toSorted()
}
