/** What an agent tells the server of its node. */
import { release } from 'node:os'
import type { Facts } from '../contract/nodes.ts'
import type { Backend } from '../node/ports.ts'
import { hostPlatform } from '../runner/images/host-platform.ts'

const MOST_SNAPSHOTTERS = 64

/** The node's platform, kernel and backend, and the snapshotters that are ready. */
export async function gatherNodeFacts(backend: Backend): Promise<Facts> {
  const { os, architecture, variant } = hostPlatform()
  const plugins = await backend.snapshotters()
  const ready = plugins.filter((plugin) => plugin.error === undefined).map((plugin) => plugin.name)
  return {
    os,
    architecture: variant === undefined ? architecture : `${architecture}/${variant}`,
    kernel: release(),
    backend: backend.kind,
    ...(backend.daemon && { containerdVersion: backend.daemon.version }),
    snapshotters: ready.sort().slice(0, MOST_SNAPSHOTTERS),
  }
}
