/** Where a snapshot lies on disk. */
import type { Backend } from '../../functions/node/ports.ts'

/** The directory in which a snapshotter keeps what a committed snapshot adds, by the mounts of a view of it. */
export async function directoryOf(backend: Backend, snapshotter: string, chainID: string): Promise<string> {
  const { id } = await backend.leases.create()
  const leased = backend.withLease(id).snapshotter(snapshotter)
  const key = `where ${chainID}`
  const [mount] = await leased.view(key, chainID, {})
  await leased.remove(key)
  await backend.leases.delete(id, { sync: true })
  const lower = mount?.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length)
  const directory = (lower ?? mount?.source ?? '').split(':')[0]
  if (!directory) throw new Error(`${snapshotter} shows ${chainID} out of no directory`)
  return directory
}
