/** What the tests of missing blobs share: an image on a node, its layers gone, and other forms of it elsewhere. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import type { UnpackResult } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { collect } from '../../support/collect.ts'
import { buildImage, type BuiltImage, type Compression } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { smallImage } from '../unpack/support/images.ts'
import { planOf } from '../unpack/support/plans.ts'
import { leftovers, removeChain, store } from '../unpack/support/stores.ts'
import { treeOf } from '../unpack/support/tree.ts'

export const UNCOMPRESSED = 'containerd.io/uncompressed'

/** An image of a node whose layer blobs have gone, with the tree that it came to while they were there. */
export interface Bereft {
  image: BuiltImage
  planned: Planned
  tree: Record<string, string>
}

let made = 0

/** Stores a new image under its own name, unpacks it once to see its tree, and takes chain and layer blobs away. */
export async function bereft(
  backend: Backend,
  snapshotter: string,
  reference = `example.com/missing:${made + 1}`,
): Promise<Bereft> {
  const seed = `missing ${process.pid} ${++made}`
  const image = smallImage(seed)
  await store(backend, image, reference)
  const planned = planOf(image, { snapshotter, reference })
  await unpack({ backend, planned })
  const tree = await treeOf(backend, snapshotter, planned.plan.chainID)
  await removeChain(backend, image, snapshotter)
  await removeLayers(backend, image)
  return { image, planned, tree }
}

export async function removeLayers(backend: Backend, image: BuiltImage): Promise<void> {
  for (const { digest } of image.layers) await backend.content.remove(digest)
  await collect(backend)
}

/** The same layers, compressed otherwise. */
export function recompressed(image: BuiltImage, compression: Compression | readonly Compression[]): BuiltImage {
  return buildImage({ layers: image.tars, compression, config: { Env: ['OTHER=1'] } })
}

/** Puts the other image on the node, each blob labelled as an unpacker leaves it. */
export async function storeUnpacked(backend: Backend, image: BuiltImage, name: string): Promise<void> {
  await store(backend, image, name)
  for (const [index, { digest }] of image.layers.entries()) {
    await backend.content.label(digest, { [UNCOMPRESSED]: image.diffIDs[index] ?? '' })
  }
}

/** A directory for what the tests put beside the node; `remove` it at the end. */
export async function temporary(): Promise<{ path: (name: string) => string; remove: () => Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'layercast-missing-'))
  return { path: (name) => join(root, name), remove: () => rm(root, { recursive: true, force: true }) }
}

/** An OCI layout of the image in which one blob holds other bytes of the same length. */
export async function writeDamagedLayout(image: BuiltImage, root: string, damaged: Digest): Promise<void> {
  await writeOciLayout(image, root, { ref: '1' })
  const bytes = Uint8Array.from(image.blobs.get(damaged) ?? [])
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff
  await writeFile(join(root, 'blobs', damaged.replace(':', '/')), bytes)
}

/** The chain is as planned, shows the tree that it should, and nothing is left of the run. */
export async function expectWhole(backend: Backend, { planned, tree }: Bereft): Promise<void> {
  const { snapshotter, chainID } = planned.plan
  expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: true })
  expect(await leftovers(backend, snapshotter)).toEqual([])
  expect(await treeOf(backend, snapshotter, chainID)).toEqual(tree)
}

/** Neither a snapshot of the chain, nor a lease, nor a blob that was not there before. */
export async function expectUntouched(backend: Backend, { planned }: Bereft, before: readonly string[]): Promise<void> {
  const { snapshotter, layers } = planned.plan
  expect(await leftovers(backend, snapshotter)).toEqual([])
  const mine = new Set<string>(layers.map((layer) => layer.chainID))
  const names: string[] = []
  for await (const { name } of backend.snapshotter(snapshotter).list()) if (mine.has(name)) names.push(name)
  expect(names).toEqual([])
  expect(await blobs(backend)).toEqual(before)
}

/** Every blob of the content store. */
export async function blobs(backend: Backend): Promise<string[]> {
  const found: string[] = []
  for await (const { digest } of backend.content.list()) found.push(digest)
  return found.sort()
}

/** Where each layer came from, in words. */
export function origins({ layers }: UnpackResult): unknown[] {
  return layers.map((layer) => layer.blob)
}
