import type { Connection } from './connection.ts'
import { Namespaces } from './proto/gen/namespaces_pb.js'

/** The daemon's namespaces, sorted. */
export async function namespaces(connection: Connection): Promise<string[]> {
  const answer = await connection.call('list the namespaces', () => connection.client(Namespaces).list({}))
  return answer.namespaces.map(({ name }) => name).toSorted()
}
