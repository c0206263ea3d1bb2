import type { Backend, ImageRecord } from '../../../../functions/node/ports.ts'
import { collect } from '../../../support/collect.ts'
import type { BuiltImage } from '../../../support/images/image.ts'
import { REFERENCE } from './plans.ts'

/** Puts an image into a backend's stores as an import does: blobs, the labels that keep them, a name. */
export async function store(backend: Backend, image: BuiltImage, name = REFERENCE): Promise<ImageRecord> {
  const lease = await backend.leases.create()
  const leased = backend.withLease(lease.id)
  for (const [digest, data] of image.blobs) await leased.content.write({ digest, size: data.length }, once(data))
  const prefix = 'containerd.io/gc.ref.content.'
  const layers = image.layers.map((layer, n) => [`${prefix}l.${n}`, layer.digest])
  await leased.content.label(image.manifest.digest, {
    [`${prefix}config`]: image.config.digest,
    ...(Object.fromEntries(layers) as Record<string, string>),
  })
  const record = await leased.images.put(name, image.manifest)
  await backend.leases.delete(lease.id)
  return record
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

/** What a run may leave behind: everything but committed snapshots of this snapshotter, and leases. */
export async function leftovers(backend: Backend, snapshotter: string): Promise<string[]> {
  const left: string[] = []
  for await (const info of backend.snapshotter(snapshotter).list()) {
    if (info.kind !== 'committed') left.push(`${info.kind} ${info.name}`)
  }
  for await (const lease of backend.leases.list()) left.push(`lease ${lease.id}`)
  return left
}

/** Names of all snapshots. */
export async function snapshotNames(backend: Backend, snapshotter: string): Promise<string[]> {
  const names: string[] = []
  for await (const info of backend.snapshotter(snapshotter).list()) names.push(info.name)
  return names.sort()
}

/** Takes a chain away, and with it what refers to it. */
export async function removeChain(backend: Backend, image: BuiltImage, snapshotter: string): Promise<void> {
  await backend.content.label(image.config.digest, { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: '' })
  // containerd refuses to remove a snapshot whose child its own collector has taken, so the collector is asked instead.
  if (backend.kind === 'containerd') return await collect(backend)
  for (const chainID of image.chainIDs.toReversed()) {
    await backend
      .snapshotter(snapshotter)
      .remove(chainID)
      .catch((error: { code?: string }) => {
        if (error.code !== 'SNAPSHOT_NOT_FOUND') throw error
      })
  }
}
