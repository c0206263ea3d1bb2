import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readContainerdConfig } from '../../../functions/node/containerd-config/config.ts'
import { parseDaemonVersion } from '../../../functions/node/daemon-version.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'layercast-config-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

const V16 = parseDaemonVersion('1.6.0')
const V17 = parseDaemonVersion('1.7.0')
const V23 = parseDaemonVersion('2.3.0')

const KATA_V2 = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
snapshotter = "nydus"
`

test("a version 2 file's per-runtime snapshotter runs containers and is lost for pulls on containerd 2", () => {
  const path = write('config.toml', KATA_V2)
  const kata = (daemon: typeof V23) =>
    readContainerdConfig({ path, daemon }).handlers.find(({ name }) => name === 'kata')
  expect(kata(V23)).toEqual({ name: 'kata', snapshotter: 'nydus', pullSnapshotter: 'overlayfs', own: true })
  expect(kata(V17)).toEqual({ name: 'kata', snapshotter: 'nydus', pullSnapshotter: 'nydus', own: true })
  expect(kata(V16)).toEqual({
    name: 'kata',
    snapshotter: 'overlayfs',
    pullSnapshotter: 'overlayfs',
    own: false,
    ignored: 'nydus',
  })
})

test('settings beside no runtimes are lost by the migration of containerd 2, and that is said', () => {
  const text = `version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\nsnapshotter = "native"\n`
  const path = write('config.toml', text)
  const config = readContainerdConfig({ path, daemon: V23 })
  expect(config.snapshotter).toBe('overlayfs')
  expect(config.files[0]?.lost).toEqual(['snapshotter'])
  expect(readContainerdConfig({ path, daemon: V17 }).snapshotter).toBe('native')
})

test('files that import each other are each read once, relative to the importing file', () => {
  const path = write('config.toml', `version = 3\nimports = ["conf.d/a.toml"]\n`)
  write('conf.d/a.toml', `version = 3\nimports = ["../config.toml", "b.toml"]\n`)
  write('conf.d/b.toml', `version = 3\n[plugins."io.containerd.cri.v1.images"]\nsnapshotter = "erofs"\n`)
  const config = readContainerdConfig({ path, daemon: V23 })
  expect(config.files.map((file) => file.path)).toEqual([
    path,
    join(directory, 'conf.d/a.toml'),
    join(directory, 'conf.d/b.toml'),
  ])
  expect(config.snapshotter).toBe('erofs')
})

test('an import that is not there is told, and a pattern that matches nothing is none', () => {
  const path = write('config.toml', `version = 3\nimports = ["gone.toml", "conf.d/*.toml"]\n`)
  const gone = join(directory, 'gone.toml')
  expect(readContainerdConfig({ path, daemon: V23 }).missingImports).toEqual([{ path: gone, importedBy: path }])
  expect(() => readContainerdConfig({ path: gone, daemon: V23 })).toThrow(
    expect.objectContaining({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('gone.toml') }),
  )
})

test.each([
  ['', false],
  ['use_local_image_pull = true', true],
  ['disable_snapshot_annotations = false', true],
  ['disable_snapshot_annotations = true', false],
  ['discard_unpacked_layers = true', true],
  ['max_concurrent_downloads = 3', false],
  ['max_concurrent_downloads = 5', true],
  ['image_pull_with_sync_fs = true', true],
  ['registry.config_path = "/etc/containerd/certs.d"', false],
  ['registry.mirrors."example.com".endpoint = ["http://127.0.0.1:5000"]', true],
])('with %s it is %s that containerd 2.1 and later pull without the transfer service', (setting, locally) => {
  const path = write('config.toml', `version = 3\n[plugins."io.containerd.cri.v1.images"]\n${setting}\n`)
  expect(readContainerdConfig({ path, daemon: V23 }).useLocalImagePull).toBe(locally)
  expect(readContainerdConfig({ path, daemon: parseDaemonVersion('2.0.0') }).useLocalImagePull).toBe(true)
})

test('a registry mirror of a version 2 file makes pulls local after the migration too', () => {
  const text = `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors.x]\nendpoint = ["http://127.0.0.1"]\n`
  expect(readContainerdConfig({ path: write('config.toml', text), daemon: V23 }).useLocalImagePull).toBe(true)
})

test('pinned images other than the pause image are told apart from it', () => {
  const text = `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:1"
proxy = "localhost/proxy:2"
`
  const config = readContainerdConfig({ path: write('config.toml', text), daemon: V23 })
  expect([config.sandboxImage, config.otherPinnedImages]).toEqual(['localhost/pause:1', ['localhost/proxy:2']])
})

test('a file that is no TOML is named with line and column', () => {
  const path = write('config.toml', 'version = 3\n[plugins\n')
  expect(() => readContainerdConfig({ path, daemon: V23 })).toThrow(
    expect.objectContaining({ code: 'NODE_CONFIG_INVALID', message: expect.stringMatching(/line 2, column/) }),
  )
})

test('a table where a value is due, and the reverse, are passed over as unset', () => {
  const path = write('config.toml', `version = 3\n[plugins."io.containerd.cri.v1.images"]\nsnapshotter = 7\n`)
  expect(readContainerdConfig({ path, daemon: V23 }).snapshotter).toBe('overlayfs')
  const other = write('other.toml', `version = 3\nplugins = "none"\n`)
  expect(readContainerdConfig({ path: other, daemon: V23 }).handlers.map(({ name }) => name)).toEqual(['runc'])
})

const V17_KATA = `[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
`

test('a file without a version is version 1: containerd 1 passes its full names over, and that is told', () => {
  const path = write('config.toml', V17_KATA)
  for (const daemon of [V16, V17]) {
    const config = readContainerdConfig({ path, daemon })
    expect(config.snapshotter).toBe('overlayfs')
    expect(config.handlers.map(({ name }) => name)).toEqual(['runc'])
    expect(config.files[0]?.passedOver).toEqual(['io.containerd.grpc.v1.cri'])
  }
  const now = readContainerdConfig({ path, daemon: V23 })
  expect([now.snapshotter, now.files[0]?.passedOver]).toEqual(['native', []])
})

test('the short names of version 1 count for containerd 1, and are refused in a file of version 2', () => {
  const short = '[plugins.cri.containerd]\nsnapshotter = "native"\n'
  const one = readContainerdConfig({ path: write('one.toml', short), daemon: V17 })
  expect([one.snapshotter, one.refusals]).toEqual(['native', []])
  const two = write('two.toml', `version = 2\n${short}`)
  const refused = readContainerdConfig({ path: two, daemon: V17 })
  expect([refused.snapshotter, refused.refusals.length]).toEqual(['overlayfs', 1])
  const newer = readContainerdConfig({ path: two, daemon: V23 })
  expect([newer.snapshotter, newer.refusals, newer.files[0]?.passedOver]).toEqual(['overlayfs', [], ['cri']])
})

test('containerd 1 adds no handler runc where a file names others, and containerd 2 does', () => {
  const path = write('config.toml', KATA_V2)
  const names = (daemon: typeof V23) => readContainerdConfig({ path, daemon }).handlers.map(({ name }) => name)
  expect([names(V16), names(V17), names(V23)]).toEqual([['kata'], ['kata'], ['kata', 'runc']])
})

test('a short name in disabled_plugins is refused but for files of version 1, where it alone counts', () => {
  const read = (text: string, daemon: typeof V23) => readContainerdConfig({ path: write('config.toml', text), daemon })
  const list = 'disabled_plugins = ["cri"]\n'
  expect(read(`version = 2\n${list}`, V17).refusals).toHaveLength(1)
  expect(read(`version = 3\n${list}`, V23).refusals).toHaveLength(1)
  expect(read(list, V17)).toMatchObject({ refusals: [], disabledPlugins: ['cri'] })
  expect(read('disabled_plugins = ["io.containerd.grpc.v1.cri"]\n', V17).disabledPlugins).toEqual([])
})
