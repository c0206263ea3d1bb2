/** Finds the pause image, which every pod needs under the snapshotter of its runtime handler. */
import { LayercastError, hasCode } from '../../errors.ts'
import type { ContainerdConfig } from '../../node/containerd-config/config.ts'
import { Connection } from '../../node/containerd/connection.ts'
import { CRI_NAMESPACE } from '../../node/cri-namespace.ts'
import { daemonOf } from '../../node/daemon.ts'
import type { Backend, Daemon, ImageRecord } from '../../node/ports.ts'
import { findImage, type FindOptions } from '../images/find.ts'
import type { NamedImage } from '../images/named-image.ts'
import { RuntimeService } from './proto/gen/runtime_pb.js'

export interface SandboxImage {
  /** Its name for the daemon; undefined where neither the configuration, nor CRI, nor an image of the node tells it. */
  name: string | undefined
  /** Undefined where the node does not have it, or lacks a part of it that a plan needs. */
  image: NamedImage | undefined
  /** Why there is no image. */
  why?: string
}

/** The label of an image record that CRI has pinned. */
const PINNED = 'io.cri-containerd.pinned'

/**
 * Finds the pause image: the configured one; else the one that CRI tells in its status (containerd 1); else the image that CRI has
 * pinned on the node (containerd 2). Errors as `findImage`, but for those that say that something is not there.
 */
export async function findSandboxImage(
  backend: Backend,
  config: ContainerdConfig,
  options: Pick<FindOptions, 'platform' | 'signal'> = {},
): Promise<SandboxImage> {
  const name = config.sandboxImage ?? (await builtInName(daemonOf(backend))) ?? (await pinnedName(backend, config))
  if (name === undefined) return { name, image: undefined, why: 'no image on the node is marked as pinned by CRI' }
  try {
    return { name, image: await findImage(backend, name, options) }
  } catch (error) {
    if (!hasCode(error, 'IMAGE_NOT_FOUND', 'BLOB_NOT_FOUND', 'PLATFORM_NOT_FOUND')) throw error
    return { name, image: undefined, why: error.message }
  }
}

async function builtInName(daemon: Daemon): Promise<string | undefined> {
  const cri = await daemon.plugins('io.containerd.grpc.v1')
  if (!cri.some(({ id, error }) => id === 'cri' && error === undefined)) return undefined
  const connection = Connection.to(daemon.address, CRI_NAMESPACE)
  try {
    const status = await connection.call('ask CRI for its settings', () =>
      connection.client(RuntimeService).status({ verbose: true }),
    )
    return sandboxImageOf(status.info['config'] ?? '{}')
  } finally {
    connection.close()
  }
}

function sandboxImageOf(text: string): string | undefined {
  let settings: unknown
  try {
    settings = JSON.parse(text)
  } catch (cause) {
    throw new LayercastError('CONTAINERD_FAILED', "CRI's settings, as its status gives them, are not JSON", { cause })
  }
  const name = (settings as { sandboxImage?: unknown } | null)?.sandboxImage
  return typeof name === 'string' && name !== '' ? name : undefined
}

async function pinnedName(backend: Backend, config: ContainerdConfig): Promise<string | undefined> {
  const pinned: ImageRecord[] = []
  for await (const record of backend.images.list()) {
    if (record.labels[PINNED] === 'pinned' && !config.otherPinnedImages.includes(record.name)) pinned.push(record)
  }
  // Beside the name, CRI keeps records under the digest and under the config's digest. An upgrade leaves the pin of the older image.
  const named = pinned.filter(({ name }) => !name.startsWith('sha256:') && !name.includes('@'))
  const newest = named.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
  return newest[0]?.name
}
