/** Snapshotters that are daemons of their own: stargz and soci, which fetch layers as files are read, with the images that they take; fuse-overlayfs. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { buildImage, type BuiltImage, type ImageOptions } from '../images/image.ts'
import { writeOciLayout } from '../images/write.ts'
import { Daemon } from './daemon.ts'
import { buildProgram } from './go-build.ts'

const run = promisify(execFile)
const TOC = 'containerd.io/snapshot/stargz/toc.digest'

export type RemoteSnapshotter = 'stargz' | 'soci' | 'fuse-overlayfs'

/** What is pushed to a registry: an image or an index of images, with all that is below it. */
export interface Pushable {
  target: Descriptor
  blobs: Map<Digest, Uint8Array>
}

/** The snapshotter's program, or why it is not there. */
export function remoteProgram(name: RemoteSnapshotter): Promise<{ program: string } | { missing: string }> {
  switch (name) {
    case 'stargz':
      return buildProgram('stargz-0.19.1', { program: name })
    case 'soci':
      return buildProgram('soci-0.16.1', { program: name, archives: { 'libz.a': 'zlib1g-dev' } })
    case 'fuse-overlayfs':
      return buildProgram('fuse-overlayfs-2.1.7', { program: name })
  }
}

/** Where a remote snapshotter of a private directory listens. */
export function remoteSocket(directory: string, name: RemoteSnapshotter): string {
  return join(directory, name, 'grpc.sock')
}

/** Starts the snapshotter on a root of its own; `start` of the result brings it up again after `kill`. */
export async function startRemote(directory: string, name: RemoteSnapshotter): Promise<Daemon> {
  const root = join(directory, name)
  await mkdir(root, { recursive: true })
  const config = join(root, 'config.toml')
  // What soci fetches beside the layers it would keep in the machine's own containerd.
  await writeFile(config, '[content_store]\ntype = "soci"\n')
  const daemon = new Daemon({
    program: await programOf(name),
    args: ['serve', root, remoteSocket(directory, name), ...(name === 'soci' ? [config] : [])],
    cwd: root,
    ready: (log) => log.includes('listening'),
  })
  await daemon.start()
  return daemon
}

/**
 * An image of eStargz layers, by stargz's own converter.
 * @param untold layers, by their place, whose table of contents the image does not name, so that they are not taken
 */
export async function estargzImage(
  directory: string,
  options: Pick<ImageOptions, 'layers'>,
  untold: readonly number[] = [],
): Promise<BuiltImage> {
  const program = await programOf('stargz')
  const blobs: Uint8Array[] = []
  const layerAnnotations: Record<string, string>[] = []
  for (const [index, tar] of buildImage(options).tars.entries()) {
    const [from, to] = [join(directory, 'layer.tar'), join(directory, 'layer.esgz')]
    await writeFile(from, tar)
    const { stdout } = await run(program, ['convert', from, to])
    blobs.push(await readFile(to))
    const { toc } = JSON.parse(stdout) as { toc: string }
    layerAnnotations.push(untold.includes(index) ? {} : { [TOC]: toc })
  }
  return buildImage({ layers: blobs.map((blob) => gunzipSync(blob)), blobs, layerAnnotations })
}

/**
 * The image with a SOCI index beside it, under one index, by soci's own converter.
 * @param least the size, in bytes, from which a layer's blob is indexed: soci unpacks the others on the node
 */
export async function withSociIndex(directory: string, image: BuiltImage, least = 0): Promise<Pushable> {
  await writeOciLayout(image, directory)
  const args = ['convert', directory, JSON.stringify(image.manifest), String(least)]
  const { stdout } = await run(await programOf('soci'), args)
  const blobs = new Map<Digest, Uint8Array>()
  const below = join(directory, 'blobs', 'sha256')
  for (const name of await readdir(below)) blobs.set(`sha256:${name}` as Digest, await readFile(join(below, name)))
  // The library tells of each layer before that.
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  return { target: JSON.parse(last) as Descriptor, blobs }
}

async function programOf(name: RemoteSnapshotter): Promise<string> {
  const found = await remoteProgram(name)
  if ('missing' in found) throw new Error(`${name} cannot run here: ${found.missing}`)
  return found.program
}
