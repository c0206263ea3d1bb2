/** Names and IDs of images, as ctr, CRI and tools write them. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { removeChain } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { errorOf, layercast, type Ran, type RunOptions } from '../../support/layercast.ts'

const IMAGE_REF = 'containerd.io/snapshot/cri.image-ref'
const FIRST = 'localhost/names:1'

await describeContainerd("names of containerd's store", (version) => {
  const image = smallImage('names')
  const odd = ['foo', `x:t@${image.manifest.digest}`, 'Foo/BAR:x', 'a name with spaces']
  let containerd: TestContainerd
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-names-'))
    containerd = await startContainerd({ version })
    const archive = join(directory, 'image.tar')
    await writeOciArchive(image, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: 'localhost/names' })
    for (const name of odd) await tag(name)
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  /** Stores a name through the API: ctr refuses some names that the daemon keeps, and that other tools write. */
  async function tag(name: string): Promise<void> {
    const backend = await containerd.connect()
    await backend.images.put(name, (await backend.images.get(FIRST)).target)
  }
  const run = (args: string[], options: RunOptions = {}): Promise<Ran> =>
    layercast(args, { ...options, env: { ...containerd.env, ...options.env } })
  const planOf = async (name: string) =>
    JSON.parse((await run(['plan', name, '-s', 'native', '-o', 'json'])).stdout.toString()) as {
      reference: string
      layers: { labels: Record<string, string> }[]
      warnings: { code: string }[]
    }
  const labelsUnder = async (snapshotter: string) => {
    const backend = await containerd.connect()
    const found = await all(backend.snapshotter(snapshotter).list())
    return found.map(({ labels }) => labels[IMAGE_REF])
  }
  const forget = async (name: string) => {
    await removeChain(await containerd.connect(), image, 'native')
    expect([name, await labelsUnder('native')]).toEqual([name, []])
  }

  test.each(odd)('%j is planned, unpacked, verified and repaired under that name, to the letter', async (name) => {
    const planned = await planOf(name)
    expect(planned.reference).toBe(name)
    expect(planned.layers.map(({ labels }) => labels[IMAGE_REF])).toEqual([name, name, name])
    expect(planned.warnings.map(({ code }) => code)).toEqual(['REFERENCE_NOT_NORMAL'])
    const unpacked = await run(['unpack', name, '-s', 'native'])
    expect([unpacked.status, unpacked.stderr]).toEqual([0, ''])
    expect(await labelsUnder('native')).toEqual([name, name, name])
    const backend = await containerd.connect()
    expect((await run(['verify', name, '-s', 'native'])).status).toBe(0)
    await backend.snapshotter('native').update(image.chainIDs[1] ?? '', { [IMAGE_REF]: '' })
    const differs = await run(['verify', name, '-s', 'native'])
    expect(differs.status).toBe(5)
    expect(differs.stderr).toContain(`layercast repair ${name.includes(' ') ? `"${name}"` : name} --snapshotter native`)
    const repaired = await run(['repair', name, '-s', 'native'])
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    expect(await labelsUnder('native')).toEqual([name, name, name])
    expect((await run(['verify', '--all'])).status).toBe(0)
    await forget(name)
  })

  test('what plan prints of an odd name is carried out by apply', async () => {
    const { stdout } = await run(['plan', 'Foo/BAR:x', '-s', 'native', '-o', 'json'])
    const applied = await run(['apply', '-'], { stdin: stdout })
    expect([applied.status, applied.stderr]).toEqual([0, ''])
    expect(await labelsUnder('native')).toEqual(['Foo/BAR:x', 'Foo/BAR:x', 'Foo/BAR:x'])
    await forget('Foo/BAR:x')
  })

  test('an altered plan is refused by apply and its dry run, with status 2, and nothing is made', async () => {
    const { stdout } = await run(['plan', FIRST, '-s', 'native', '-o', 'json'])
    const text = stdout.toString()
    const size = image.config.size
    for (const altered of [
      text.replaceAll(`"size":${size}`, `"size":${size + 1}`),
      text.replaceAll('tar+gzip', 'tar+zstd'),
      text.replace('"architecture":"amd64"', '"architecture":"arm64"'),
      text.replace('"profile":"native"', '"profile":"stargz"'),
    ]) {
      const file = join(directory, 'plan.json')
      await writeFile(file, altered)
      for (const how of [['--dry-run'], []]) {
        const ran = await run(['apply', file, ...how, '-o', 'json'])
        expect(errorOf(ran)).toMatchObject({ code: 'PLAN_NOT_DERIVED', exit: 2 })
        expect(ran.status).toBe(2)
      }
    }
    expect(await labelsUnder('native')).toEqual([])
  })

  test('an ID and a digest, shortened too, find the name that CRI labels with', async () => {
    const { config, manifest } = image
    // CRI stores an image under its ID too.
    await tag(config.digest)
    const hex = config.digest.slice('sha256:'.length)
    for (const text of [config.digest, hex, hex.slice(0, 13), manifest.digest]) {
      const { reference } = await planOf(text)
      expect([text, reference]).toEqual([text, `x:t@${manifest.digest}`])
    }
    const backend = await containerd.connect()
    await backend.images.remove(`x:t@${manifest.digest}`)
    expect((await planOf(hex.slice(0, 13))).reference).toBe(FIRST)
    const none = await run(['plan', '0'.repeat(64), '-s', 'native', '-o', 'json'])
    expect(errorOf(none)).toMatchObject({ code: 'IMAGE_NOT_FOUND', exit: 3 })
  })
})
