/** The garbage collector of a backend. */
import type { Backend } from '../../functions/node/ports.ts'

/** Returns when the garbage collector has been through. */
export async function collect(backend: Backend): Promise<void> {
  const { id } = await backend.leases.create()
  await backend.leases.delete(id, { sync: true })
}
