import type { Connection } from './connection.ts'
import { Namespaces } from './proto/gen/namespaces_pb.js'

/** The names of the daemon's namespaces, sorted. Images and labels are of one namespace; the bytes of a blob are of all. */
export async function namespaceNames(connection: Connection): Promise<string[]> {
  const { namespaces } = await connection.call('list the namespaces', () => connection.client(Namespaces).list({}))
  return namespaces.map(({ name }) => name).toSorted()
}
