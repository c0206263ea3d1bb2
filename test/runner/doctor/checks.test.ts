import { describe, expect, test } from 'vitest'
import type { ContainerdConfig, RuntimeHandler } from '../../../functions/node/containerd-config/config.ts'
import type { Plugin } from '../../../functions/node/ports.ts'
import { diagnose } from '../../../functions/runner/doctor/diagnose.ts'
import type { DaemonFacts } from '../../../functions/runner/doctor/facts.ts'
import { criProxyAdvice, labelledUnpack } from '../../../functions/runner/doctor/finding.ts'

const SNAPSHOTTER = 'io.containerd.snapshotter.v1'
const plugin = (id: string, error?: string, type = SNAPSHOTTER): Plugin => ({
  type,
  id,
  exports: {},
  capabilities: [],
  ...(error === undefined ? {} : { error }),
})
const handler = (name: string, snapshotter: string, pullSnapshotter = snapshotter): RuntimeHandler => ({
  name,
  snapshotter,
  pullSnapshotter,
  own: true,
})
const daemon = (major: number, minor: number, patch: number) => ({
  version: `v${major}.${minor}.${patch}`,
  daemon: { major, minor, patch },
})

const CONFIG: ContainerdConfig = {
  files: [{ path: '/etc/containerd/config.toml', version: 3, lost: [], replaced: [], passedOver: [] }],
  missingImports: [],
  refusals: [],
  snapshotter: 'overlayfs',
  defaultHandler: 'runc',
  disableSnapshotAnnotations: false,
  discardUnpackedLayers: false,
  handlers: [handler('kata', 'nydus'), { ...handler('runc', 'overlayfs'), own: false }],
  sandboxImage: undefined,
  otherPinnedImages: [],
  proxyPlugins: [],
  disabledPlugins: [],
  useLocalImagePull: true,
  maxConcurrentUnpacks: 1,
  unpackPlatforms: undefined,
  differs: undefined,
}

/** A node with nothing wrong: every finding below comes of the one thing that is changed. */
const HEALTHY: DaemonFacts = {
  ...daemon(2, 4, 0),
  config: CONFIG,
  process: { pid: 1, startedAt: new Date(), configPath: undefined },
  configFrom: 'process',
  changedFiles: [],
  plugins: [plugin('overlayfs'), plugin('nydus')],
  proxies: [],
  refusal: undefined,
  criProxy: undefined,
}

function codes(change: Partial<DaemonFacts>, config: Partial<ContainerdConfig> = {}): string[] {
  return diagnose({ ...HEALTHY, ...change, config: { ...CONFIG, ...config } }).map(({ code }) => code)
}

test('a healthy node has no findings', () => {
  expect(codes({})).toEqual([])
})

describe('each fault has its own finding, and no other', () => {
  const file = CONFIG.files[0] ?? expect.unreachable()
  const cases: [string, Partial<DaemonFacts>, Partial<ContainerdConfig>][] = [
    ['SNAPSHOTTER_MISSING', { plugins: [plugin('overlayfs')] }, {}],
    ['SNAPSHOTTER_NOT_READY', { plugins: [...HEALTHY.plugins, plugin('btrfs', 'skip plugin')] }, {}],
    [
      'PROXY_SOCKET_DEAD',
      { proxies: [{ name: 'nydus', type: 'snapshot', address: '/run/n.sock', error: 'ECONNREFUSED' }] },
      {},
    ],
    ['CONFIG_REFUSED', { refusal: 'toml: cannot decode' }, {}],
    ['CONFIG_REFUSED', {}, { refusals: ['/c.toml has "cri" in disabled_plugins'] }],
    ['CRI_SECTION_PASSED_OVER', {}, { files: [{ ...file, version: 2, passedOver: ['cri'] }] }],
    ['EROFS_WITHOUT_DIFFER', { plugins: [...HEALTHY.plugins, plugin('erofs')] }, {}],
    ['CRI_DISABLED', {}, { disabledPlugins: ['io.containerd.grpc.v1.cri'] }],
    ['SETTINGS_LOST_BY_MIGRATION', {}, { files: [{ ...file, version: 2, lost: ['snapshotter'] }] }],
    [
      'HANDLER_LOST_BY_MIGRATION',
      {},
      { files: [{ ...file, version: 2 }], handlers: [handler('kata', 'nydus', 'overlayfs')] },
    ],
    ['HANDLER_PULLS_ELSEWHERE', {}, { handlers: [handler('kata', 'nydus', 'overlayfs')] }],
    ['CRI_SECTION_REPLACED', {}, { files: [file, { ...file, replaced: ['io.containerd.grpc.v1.cri'] }] }],
    ['UNPACK_PLATFORM_MISSING', {}, { useLocalImagePull: false }],
    ['HANDLER_SNAPSHOTTER_IGNORED', {}, { handlers: [{ ...handler('kata', 'overlayfs'), ignored: 'nydus' }] }],
    ['IMPORT_MISSING', {}, { missingImports: [{ path: '/etc/gone.toml', importedBy: file.path }] }],
    ['CONFIG_VERSION_TOO_NEW', {}, { files: [{ ...file, version: 5 }] }],
    ['IMPORT_VERSION_TOO_NEW', {}, { files: [file, { ...file, path: '/etc/containerd/conf.d/a.toml', version: 4 }] }],
    ['CONFIG_CHANGED_SINCE_START', { changedFiles: [file.path] }, {}],
    ['CONFIG_ASSUMED', { configFrom: 'default' }, {}],
    [
      'CRI_NOT_READY',
      { plugins: [...HEALTHY.plugins, plugin('images', 'failed to find snapshotter', 'io.containerd.cri.v1')] },
      {},
    ],
    ['ANNOTATIONS_OFF', {}, { disableSnapshotAnnotations: true }],
    ['DISCARD_ON', {}, { discardUnpackedLayers: true }],
    ['VERSION_SILENT_SUCCESS', daemon(2, 3, 4), {}],
    ['VERSION_NO_LABELS_AFTER_PULL', daemon(2, 1, 5), {}],
  ]
  test.each(cases)('%s', (code, facts, config) => {
    expect(codes(facts, config)).toEqual([code])
  })
})

test('the erofs differ bites where CreateContainer, which goes by the order of differs, does not come to it first', () => {
  const plugins = [plugin('overlayfs'), plugin('erofs'), plugin('erofs', undefined, 'io.containerd.differ.v1')]
  const handlers = [handler('lean', 'erofs')]
  const unused = ['EROFS_DIFFER_UNUSED']
  expect(codes({ plugins }, { handlers })).toEqual(unused)
  expect(codes({ plugins }, { handlers, differs: ['walking', 'erofs'] })).toEqual(unused)
  expect(codes({ plugins }, { handlers, differs: ['erofs', 'walking'] })).toEqual([])
  // Nobody unpacks for erofs here, or nobody in parallel mode.
  expect(codes({ plugins: [...plugins, ...HEALTHY.plugins] })).toEqual([])
  expect(codes({ ...daemon(2, 1, 5), plugins }, { handlers })).toEqual([])
})

test('the versions with known faults are told apart to the patch', () => {
  const faults = (...numbers: [number, number, number]) =>
    codes({ ...daemon(...numbers), plugins: [plugin('overlayfs')] }, { handlers: [handler('runc', 'overlayfs')] })
  expect(faults(2, 1, 9)).toEqual([])
  expect(faults(2, 2, 0)).toEqual(['VERSION_LOST_WHITEOUTS', 'VERSION_SILENT_SUCCESS'])
  expect(faults(2, 2, 2)).toEqual(['VERSION_LOST_WHITEOUTS', 'VERSION_SILENT_SUCCESS'])
  expect(faults(2, 2, 3)).toEqual(['VERSION_SILENT_SUCCESS'])
  expect(faults(2, 3, 4)).toEqual(['VERSION_SILENT_SUCCESS'])
  expect(faults(2, 3, 7)).toEqual(['VERSION_SILENT_SUCCESS'])
  expect(faults(2, 4, 0)).toEqual([])
})

describe("the parallel mode's faults bite only where somebody uses that mode", () => {
  const node = (patch: number, config: Partial<ContainerdConfig> = {}) =>
    Object.fromEntries(
      diagnose({
        ...HEALTHY,
        ...daemon(2, 2, patch),
        plugins: [plugin('overlayfs'), plugin('erofs')],
        config: { ...CONFIG, handlers: [handler('runc', 'overlayfs'), handler('kata', 'erofs')], ...config },
      }).map(({ code, severity }) => [code, severity]),
    )
  const [off, on] = [
    { VERSION_LOST_WHITEOUTS: 'note', VERSION_SILENT_SUCCESS: 'note', EROFS_WITHOUT_DIFFER: 'note' },
    { VERSION_LOST_WHITEOUTS: 'error', VERSION_SILENT_SUCCESS: 'warning', EROFS_WITHOUT_DIFFER: 'error' },
  ]

  test('nobody does in 2.2.1 as it comes', () => {
    expect(node(1)).toMatchObject(off)
  })
  test('pulls do where the transfer service is told to unpack several layers at once', () => {
    const config = { maxConcurrentUnpacks: 3, useLocalImagePull: false, unpackPlatforms: [] }
    expect(node(1, config)).toMatchObject(on)
  })
  test('pulls without the transfer service do not', () => {
    expect(node(1, { maxConcurrentUnpacks: 3, useLocalImagePull: true })).toMatchObject(off)
  })
  test('CreateContainer does from 2.2.2 on', () => {
    expect(node(2)).toMatchObject(on)
  })
})

describe('an unpack platform', () => {
  const differ = plugin('erofs', undefined, 'io.containerd.differ.v1')
  const missing = (facts: Partial<DaemonFacts>, config: Partial<ContainerdConfig>) =>
    diagnose({
      ...HEALTHY,
      ...facts,
      config: { ...CONFIG, useLocalImagePull: false, handlers: [handler('kata', 'erofs')], ...config },
    })
      .filter(({ code }) => code === 'UNPACK_PLATFORM_MISSING')
      .map(({ what }) => /platform for (\w+)/.exec(what)?.[1])

  test('of erofs is built in from 2.3 on, where the differ works', () => {
    const plugins = [plugin('overlayfs'), plugin('erofs')]
    expect(missing({ ...daemon(2, 3, 5), plugins: [...plugins, differ] }, {})).toEqual([])
    expect(missing({ ...daemon(2, 3, 5), plugins }, {})).toEqual(['erofs'])
    expect(missing({ ...daemon(2, 2, 5), plugins: [...plugins, differ] }, {})).toEqual(['erofs'])
  })
  test('that is written replaces what is built in, and one of another system does not count', () => {
    const row = (snapshotter: string, platform: string) => ({ snapshotter, platform, differ: '' })
    expect(missing({}, { unpackPlatforms: [row('erofs', 'linux/amd64')] })).toEqual(['overlayfs'])
    expect(missing({}, { unpackPlatforms: [row('erofs', 'windows/amd64'), row('overlayfs', 'linux')] })).toEqual([
      'erofs',
    ])
  })
})

describe('files of several versions', () => {
  const mixed = (minor: number, ...versions: number[]) =>
    diagnose({
      ...HEALTHY,
      ...daemon(2, minor, 9),
      config: {
        ...CONFIG,
        files: versions.map((version, index) => ({
          path: `/${index}.toml`,
          version,
          lost: [],
          replaced: [],
          passedOver: [],
        })),
      },
    }).flatMap(({ code, what }) => (code === 'CONFIG_VERSIONS_MIXED' ? [what.split(' ')[0]] : []))

  test('are all taken for the last one’s by 2.0 to 2.2, so that a version 2 file beside a newer one does not count', () => {
    expect(mixed(1, 3, 2, 3)).toEqual(['/1.toml'])
    expect(mixed(1, 1)).toEqual(['/0.toml'])
  })
  test('are migrated where the last one is of version 2, and each by itself from 2.3 on', () => {
    expect(mixed(2, 3, 2)).toEqual([])
    expect(mixed(2, 2, 1)).toEqual([])
    expect(mixed(3, 3, 2, 3)).toEqual([])
  })
})

test('a snapshotter that a handler needs is an error where one that nobody names is a note', () => {
  const severity = (id: string) =>
    diagnose({ ...HEALTHY, plugins: [...HEALTHY.plugins.filter((p) => p.id !== id), plugin(id, 'no')] })[0]?.severity
  expect(severity('nydus')).toBe('error')
  expect(severity('zfs')).toBe('note')
})

test('what stops pods comes first', () => {
  const found = diagnose({
    ...HEALTHY,
    plugins: [plugin('overlayfs')],
    config: { ...CONFIG, disableSnapshotAnnotations: true },
  })
  expect(found.map(({ severity }) => severity)).toEqual(['error', 'warning'])
})

describe('what the versions do', () => {
  const at = (major: number, minor: number, patch: number, code: string) =>
    codes(
      {
        ...daemon(major, minor, patch),
        plugins: [...HEALTHY.plugins, plugin('erofs')],
      },
      { handlers: [handler('lean', 'erofs')] },
    ).includes(code)

  test.each([
    [2, 1, 9, false],
    [2, 2, 0, true],
    [2, 3, 7, true],
    [2, 4, 0, false],
  ])('%i.%i.%i can lose an error of a parallel unpack: %s', (major, minor, patch, bites) => {
    expect(at(major, minor, patch, 'VERSION_SILENT_SUCCESS')).toBe(bites)
  })
  test.each([
    [2, 2, 9, false],
    [2, 3, 0, true],
    [2, 3, 7, true],
    [2, 4, 0, false],
  ])('%i.%i.%i panics at a mount of an erofs chain: %s', (major, minor, patch, bites) => {
    expect(at(major, minor, patch, 'VERSION_EROFS_MOUNT_PANICS')).toBe(bites)
  })
  test.each([
    [1, 7, 35, false, false],
    [2, 2, 1, false, false],
    [2, 2, 2, false, true],
    [2, 2, 2, true, false],
    [2, 3, 0, false, true],
  ])('%i.%i.%i, annotations off %s: labelled unpacks of its own %s', (major, minor, patch, off, itself) => {
    const config = { ...CONFIG, disableSnapshotAnnotations: off }
    expect(labelledUnpack({ ...daemon(major, minor, patch), config }).byContainerd).toBe(itself)
  })
})

test('a CRI proxy is needed where handlers have snapshotters of their own and containerd sends no labels for them', () => {
  const advice = (change: Partial<DaemonFacts>, config: Partial<ContainerdConfig> = {}) =>
    criProxyAdvice({ ...HEALTHY, ...change, config: { ...CONFIG, ...config } })
  expect(advice(daemon(2, 4, 0)).needed).toBe(false)
  expect(advice(daemon(2, 2, 2)).needed).toBe(false)
  for (const old of [daemon(1, 6, 20), daemon(1, 7, 35), daemon(2, 2, 1)]) {
    expect(advice(old)).toEqual({ needed: true, why: expect.stringContaining('nydus') })
  }
  expect(advice(daemon(2, 4, 0), { disableSnapshotAnnotations: true }).needed).toBe(true)
  expect(advice(daemon(1, 7, 35), { handlers: [handler('runc', 'overlayfs')] }).needed).toBe(false)
  expect(advice({ criProxy: '/run/layercast/cri.sock' }).socket).toBe('/run/layercast/cri.sock')
})
