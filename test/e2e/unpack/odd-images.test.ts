import { afterAll, beforeAll, expect, test } from 'vitest'
import { store } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { dir, file, hardlink, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, MEDIA_TYPES, withDocuments } from '../../support/images/image.ts'
import { layercast } from '../../support/layercast.ts'

const S = 'containerd.io/snapshot/'
const mapping = { [`${S}uidmapping`]: '0:100000:65536', [`${S}gidmapping`]: '0:100000:65536', [`${S}note`]: 'kept' }
const plain = (seed: string) => buildImage({ layers: [[file('seed', seed)], [file('above', seed)]] })

/** What is odd about an image, and the warning that says so. */
const ODD = {
  MAPPING_DROPPED: buildImage({
    layers: [[file('mapped', '')], [file('above', '')]],
    layerAnnotations: [mapping, mapping],
  }),
  CONFIG_SIZE_WRONG: withDocuments(plain('size'), { configDescriptor: { size: 7 } }),
  MANIFEST_TYPE_DIFFERS: withDocuments(plain('type'), { manifest: { mediaType: MEDIA_TYPES.docker.manifest } }),
  CONFIG_UNTYPED: withDocuments(plain('untyped'), { configDescriptor: { mediaType: 'application/octet-stream' } }),
}

/** Entries whose paths ask for a decision, which containerd's overlayfs makes as layercast does. */
const PATHS = {
  'names and link targets with dot-dot': [
    [dir('etc'), file('/../etc/passwd', 'own'), file('/../../top', ''), hardlink('link', '../../etc/passwd')],
    [file('etc/../../new', ''), whiteout('/../top')],
  ],
  'a path through a file of the layer below': [
    [dir('a', { mode: 0o750, uid: 7 }), file('a/b', 'file'), file('a/d', 'file'), file('kept', '')],
    [file('a/b/c', 'within'), dir('a/d/e', { mode: 0o700 })],
  ],
} satisfies Record<string, TarEntry[][]>

await describeContainerd('images that are not as they should be', (version) => {
  let containerd: TestContainerd
  beforeAll(async () => {
    containerd = await startContainerd({ version })
  })
  afterAll(() => containerd?.stop())

  test.each(Object.entries(ODD))(
    '%s: all layers are unpacked, with that warning, and verified',
    async (code, image) => {
      const backend = await containerd.connect()
      const name = `localhost/${code.toLowerCase()}:1`
      await store(backend, image, name)
      // overlayfs goes by the mappings, and native does not.
      for (const snapshotter of ['overlayfs', 'native']) {
        const ran = await layercast(['unpack', name, '-s', snapshotter, '-o', 'json'], { env: containerd.env })
        expect([ran.status, ran.stderr]).toEqual([0, ''])
        const result = JSON.parse(ran.stdout.toString()) as {
          layers: { state: string }[]
          warnings: { code: string }[]
        }
        expect(result.layers.map(({ state }) => state)).toEqual(['applied', 'applied'])
        expect([...new Set(result.warnings.map((warning) => warning.code))]).toEqual([code])
        const verified = await layercast(['verify', name, '-s', snapshotter, '--deep'], { env: containerd.env })
        expect([verified.status, verified.stderr]).toEqual([0, ''])
        const found = (await all(backend.snapshotter(snapshotter).list())).filter(({ labels }) =>
          Object.values(labels).includes(name),
        )
        expect(found).toHaveLength(2)
        expect(found.flatMap(({ labels }) => Object.keys(labels)).filter((key) => key.includes('idmapping'))).toEqual(
          [],
        )
      }
    },
  )

  test.each(Object.entries(PATHS))(
    '%s: one tree by either applier and under every snapshotter',
    async (title, layers) => {
      const image = buildImage({ layers })
      const name = `localhost/${title.replaceAll(' ', '-')}:1`
      for (const [applier, snapshotter] of [
        ['own', 'overlayfs'],
        ['own', 'native'],
        ['containerd', 'overlayfs'],
      ] as const) {
        const namespace = `${applier}-${snapshotter}`
        await store(await containerd.connect(namespace), image, name)
        const env = { ...containerd.env, CONTAINERD_NAMESPACE: namespace }
        const ran = await layercast(['unpack', name, '-s', snapshotter, '--applier', applier], { env })
        expect([ran.status, ran.stderr]).toEqual([0, ''])
        const verified = await layercast(['verify', name, '-s', snapshotter, '--deep'], { env })
        expect([verified.status, verified.stderr]).toEqual([0, ''])
      }
    },
  )
})
