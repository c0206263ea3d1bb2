import { describe, expect, test } from 'vitest'
import type { NodeFacts } from '../../../functions/runner/doctor/facts.ts'
import { diagnose } from '../../../functions/runner/doctor/index.ts'
import type { NodeConfig, RuntimeHandler } from '../../../functions/runner/node-config/index.ts'
import type { Plugin } from '../../../functions/runner/containerd/index.ts'

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

const CONFIG: NodeConfig = {
  files: [{ path: '/etc/containerd/config.toml', version: 3, lost: [], replaced: [] }],
  snapshotter: 'overlayfs',
  defaultHandler: 'runc',
  disableSnapshotAnnotations: false,
  discardUnpackedLayers: false,
  handlers: [handler('kata', 'nydus'), { ...handler('runc', 'overlayfs'), own: false }],
  sandboxImage: undefined,
  proxyPlugins: [],
  disabledPlugins: [],
  useLocalImagePull: true,
  unpackPlatforms: undefined,
  differs: undefined,
}

/** A node with nothing wrong: every finding below comes of the one thing that is changed. */
const HEALTHY: NodeFacts = {
  ...daemon(2, 4, 0),
  config: CONFIG,
  plugins: [plugin('overlayfs'), plugin('nydus')],
  proxies: [],
}

function codes(change: Partial<NodeFacts>, config: Partial<NodeConfig> = {}): string[] {
  return diagnose({ ...HEALTHY, ...change, config: { ...CONFIG, ...config } }).map(({ code }) => code)
}

test('a healthy node has no findings', () => {
  expect(codes({})).toEqual([])
})

describe('each fault has its own finding, and no other', () => {
  const file = CONFIG.files[0] ?? expect.unreachable()
  const cases: [string, Partial<NodeFacts>, Partial<NodeConfig>][] = [
    ['SNAPSHOTTER_MISSING', { plugins: [plugin('overlayfs')] }, {}],
    ['SNAPSHOTTER_NOT_READY', { plugins: [...HEALTHY.plugins, plugin('btrfs', 'skip plugin')] }, {}],
    [
      'PROXY_SOCKET_DEAD',
      { proxies: [{ name: 'nydus', type: 'snapshot', address: '/run/n.sock', error: 'ECONNREFUSED' }] },
      {},
    ],
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
    ['ANNOTATIONS_OFF', {}, { disableSnapshotAnnotations: true }],
    ['DISCARD_ON', {}, { discardUnpackedLayers: true }],
    ['VERSION_SILENT_SUCCESS', daemon(2, 3, 4), {}],
    ['VERSION_NO_LABELS_AFTER_PULL', daemon(2, 1, 5), {}],
  ]
  test.each(cases)('%s', (code, facts, config) => {
    expect(codes(facts, config)).toEqual([code])
  })
})

test('the erofs differ that is ready is no finding', () => {
  const ready = [...HEALTHY.plugins, plugin('erofs'), plugin('erofs', undefined, 'io.containerd.differ.v1')]
  expect(codes({ plugins: ready })).toEqual([])
})

test('the versions with known faults are told apart to the patch', () => {
  const faults = (...numbers: [number, number, number]) =>
    codes({ ...daemon(...numbers), plugins: [plugin('overlayfs')] }, { handlers: [handler('runc', 'overlayfs')] })
  expect(faults(2, 1, 9)).toEqual([])
  expect(faults(2, 2, 0)).toEqual(['VERSION_LOST_WHITEOUTS', 'VERSION_SILENT_SUCCESS'])
  expect(faults(2, 2, 2)).toEqual(['VERSION_LOST_WHITEOUTS', 'VERSION_SILENT_SUCCESS'])
  expect(faults(2, 2, 3)).toEqual(['VERSION_SILENT_SUCCESS'])
  expect(faults(2, 3, 4)).toEqual(['VERSION_SILENT_SUCCESS'])
  expect(faults(2, 3, 5)).toEqual([])
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
