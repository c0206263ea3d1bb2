import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { file } from '../../support/images/entries.ts'
import {
  buildImage,
  buildIndex,
  describe,
  digestOf,
  withDocuments,
  type BuiltImage,
} from '../../support/images/image.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const run = promisify(execFile)
const NAME = 'localhost/features:1'

await describeContainerd('images for the OS feature erofs', (version) => {
  // 2.4 is the first whose erofs snapshotter says that it takes them; 1.6 has no such snapshotter.
  const here = hasMkfsErofs && version === '2.4' && process.arch === 'x64'
  let containerd: TestContainerd
  let directory: string
  let backend: ContainerdBackend
  let plain: BuiltImage
  let native: BuiltImage

  beforeAll(async () => {
    if (!here) return
    directory = await mkdtemp(join(tmpdir(), 'layercast-features-'))
    plain = buildImage({ layers: [[file('plain', 'as an archive')]] })
    native = await nativeImage(directory)
    // The erofs differ, which takes such layers, wants a newer mkfs.erofs than Debian's; with the layer in a cache it needs none.
    const cache = join(directory, 'cache')
    const hex = native.diffIDs[0]?.slice('sha256:'.length) ?? ''
    await mkdir(join(cache, 'sha256', hex.slice(0, 2)), { recursive: true })
    await copyFile(join(directory, 'layer.erofs'), join(cache, 'sha256', hex.slice(0, 2), `${hex}.erofs`))
    const settings = `[plugins."io.containerd.snapshotter.v1.erofs"]\n  layer_content_caches = [${JSON.stringify(cache)}]`
    containerd = await startContainerd({ version, namespace: 'features', config: settings })
    backend = await containerd.connect()
    const index = buildIndex([
      { image: plain, platform: { os: 'linux', architecture: 'amd64' } },
      { image: native, platform: { os: 'linux', architecture: 'amd64', 'os.features': ['erofs'] } },
    ])
    const lease = await backend.leases.create()
    const leased = backend.withLease(lease.id)
    for (const [digest, data] of index.blobs) {
      await leased.content.write(
        { digest, size: data.length },
        (async function* () {
          yield data
        })(),
      )
    }
    await leased.images.put(NAME, index.index)
    for (const [name, { manifest }] of Object.entries({ plain, native })) {
      await leased.images.put(`localhost/${name}:1`, manifest)
    }
    const prefix = 'containerd.io/gc.ref.content.'
    await leased.content.label(index.index.digest, {
      [`${prefix}m.0`]: plain.manifest.digest,
      [`${prefix}m.1`]: native.manifest.digest,
    })
    for (const { manifest, config, layers } of [plain, native]) {
      await leased.content.label(manifest.digest, {
        [`${prefix}config`]: config.digest,
        [`${prefix}l.0`]: layers[0]?.digest ?? '',
      })
    }
    await backend.leases.delete(lease.id)
  })
  afterAll(async () => {
    await containerd?.stop()
    if (directory) await rm(directory, { recursive: true, force: true })
  })

  const cli = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })
  const planned = async (...args: string[]) => {
    const ran = await cli('plan', NAME, '-o', 'json', ...args)
    return (JSON.parse(ran.stdout.toString()) as { manifest: { digest: string } }).manifest.digest
  }

  test.skipIf(!here)('the snapshotter advertises it, and the manifest is chosen by that or as asked', async () => {
    const plugins = await backend.snapshotters()
    expect(plugins.flatMap(({ name, osFeatures }) => (osFeatures === undefined ? [] : [[name, osFeatures]]))).toEqual([
      ['erofs', ['erofs']],
    ])
    expect(await planned('-s', 'erofs')).toBe(native.manifest.digest)
    expect(await planned('-s', 'overlayfs')).toBe(plain.manifest.digest)
    expect(await planned('-s', 'erofs', '--platform', 'linux/amd64')).toBe(plain.manifest.digest)
    expect(await planned('-s', 'overlayfs', '--platform', 'linux(+erofs)/amd64')).toBe(native.manifest.digest)
    const text = (await cli('plan', NAME, '-s', 'erofs')).stdout.toString()
    expect(text).toContain('linux(+erofs)/amd64')
    const none = await cli('plan', NAME, '-s', 'erofs', '--platform', 'linux/s390x', '-o', 'json')
    expect(errorOf(none).message).toContain('linux(+erofs)/amd64')
  })

  test.skipIf(!here)('it is unpacked, and verified alone and with all others', async () => {
    const unpacked = await cli('unpack', NAME, '-s', 'erofs')
    expect([unpacked.status, unpacked.stderr]).toEqual([0, ''])
    expect((await cli('verify', NAME, '-s', 'erofs')).status).toBe(0)
    expect((await cli('unpack', NAME, '-s', 'overlayfs')).status).toBe(0)
    const all = await cli('verify', '--all', '-o', 'json')
    const found = JSON.parse(all.stdout.toString()) as { names: string[]; snapshotter: string; ok: boolean }[]
    const ofIndex = found.filter(({ names }) => names.includes(NAME)).map(({ snapshotter, ok }) => [snapshotter, ok])
    expect(ofIndex.toSorted()).toEqual([
      ['erofs', true],
      ['overlayfs', true],
    ])
  })
})

/** An image of one layer that is an EROFS image as it lies. */
async function nativeImage(directory: string): Promise<BuiltImage> {
  await mkdir(join(directory, 'tree'))
  await writeFile(join(directory, 'tree', 'native'), 'as EROFS')
  await run('mkfs.erofs', ['--quiet', join(directory, 'layer.erofs'), join(directory, 'tree')]).catch(() =>
    run('mkfs.erofs', [join(directory, 'layer.erofs'), join(directory, 'tree')]),
  )
  const blob = new Uint8Array(await readFile(join(directory, 'layer.erofs')))
  const layer = describe(blob, 'application/vnd.erofs.layer.v1')
  const image = withDocuments(buildImage({ layers: [] }), {
    config: { 'os.features': ['erofs'], rootfs: { type: 'layers', diff_ids: [digestOf(blob)] } },
    manifest: { layers: [layer] },
  })
  image.blobs.set(layer.digest, blob)
  return { ...image, layers: [layer], diffIDs: [layer.digest], chainIDs: [layer.digest] }
}
