import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { stringify } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { readContainerdConfig, type ContainerdConfig } from '../../../functions/node/containerd-config/config.ts'
import { parseDaemonVersion } from '../../../functions/node/daemon-version.ts'
import { matrix, programs } from '../../support/containerd/versions.ts'

type Toml = Record<string, unknown>

const names = fc.constantFrom('overlayfs', 'native', 'nydus', 'erofs')
const handlerNames = fc.constantFrom('runc', 'kata', 'gvisor', 'kata.qemu')
const runtimes = fc.dictionary(
  handlerNames,
  fc.record(
    { runtime_type: fc.constant('io.containerd.runc.v2'), snapshotter: names },
    { requiredKeys: ['runtime_type'] },
  ),
  { maxKeys: 3 },
)
const imageKeys = {
  snapshotter: names,
  disable_snapshot_annotations: fc.boolean(),
  discard_unpacked_layers: fc.boolean(),
}

/** What makes containerd 2.1 and later pull without the transfer service, and what does not. */
const pullKeys = {
  max_concurrent_downloads: fc.constantFrom(3, 5),
  image_pull_with_sync_fs: fc.boolean(),
  registry: fc.record(
    {
      config_path: fc.constant('/etc/containerd/certs.d'),
      mirrors: fc.constant({ 'example.com': { endpoint: ['http://127.0.0.1:5000'] } }),
    },
    { requiredKeys: [] },
  ),
}

const v2Section = fc.record(
  {
    ...pullKeys,
    sandbox_image: fc.constantFrom('localhost/pause:1', 'example.com/pause:3'),
    containerd: fc.record({ ...imageKeys, runtimes, default_runtime_name: handlerNames }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
)
const v2File = v2Section.map((cri): Toml => ({ version: 2, plugins: { 'io.containerd.grpc.v1.cri': cri } }))

const v1File = v2Section.map((cri): Toml => ({ plugins: { cri } }))

/** Files of the newest versions that a daemon knows: 4 came with containerd 2.3. */
const newFile = (versions: number[]): fc.Arbitrary<Toml> =>
  fc
    .record(
      {
        images: fc.record(
          {
            ...imageKeys,
            ...pullKeys,
            pinned_images: fc.record(
              { sandbox: fc.constant('localhost/pinned:2'), proxy: fc.constant('localhost/proxy:3') },
              { requiredKeys: [] },
            ),
            runtime_platforms: fc.dictionary(handlerNames, fc.record({ snapshotter: names }), { maxKeys: 2 }),
          },
          { requiredKeys: [] },
        ),
        runtime: fc.record({ containerd: fc.record({ runtimes }, { requiredKeys: [] }) }, { requiredKeys: [] }),
        version: fc.constantFrom(...versions),
      },
      { requiredKeys: ['version'] },
    )
    .map(({ images, runtime, version }): Toml => {
      const plugins: Toml = {}
      if (images) plugins['io.containerd.cri.v1.images'] = images
      if (runtime) plugins['io.containerd.cri.v1.runtime'] = runtime
      return { version, plugins }
    })

const proxies = fc.dictionary(
  fc.constantFrom('nydus', 'soci'),
  fc.record({ type: fc.constant('snapshot'), address: fc.constantFrom('/run/a.sock', '/run/b.sock') }),
)

/** What the daemon itself says must come to, apart from the defaults that only its dump spells out. */
function comparable(
  config: ContainerdConfig,
): Omit<ContainerdConfig, 'files' | 'refusals' | 'disabledPlugins' | 'unpackPlatforms' | 'differs'> {
  const { files: _, refusals: _r, disabledPlugins: _p, unpackPlatforms: _u, differs: _d, ...rest } = config
  // containerd 1.6 does not even print what it passes over.
  return { ...rest, handlers: rest.handlers.map(({ ignored: _i, ...handler }) => handler) }
}

function withDirectory<T>(run: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'layercast-config-'))
  try {
    return run(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

for (const version of matrix()) {
  const found = await programs(version)
  const daemon = parseDaemonVersion(version)
  const { major, minor } = daemon
  describe.skipIf('missing' in found)(`containerd ${version}'s configuration`, () => {
    const binary = 'containerd' in found ? found.containerd : ''
    const shortV2 = v1File.map((file): Toml => ({ ...file, version: 2 }))
    const unnamedV2 = v2File.map(({ plugins }): Toml => ({ plugins }))
    const old = [v1File, v2File, unnamedV2, shortV2]
    const anyFile = fc.oneof(...old, ...(major < 2 ? [] : [newFile(minor < 3 ? [3] : [3, 4])]))
    const disabled = fc.array(fc.constantFrom('restart', 'io.containerd.internal.v1.restart'), { maxLength: 1 })

    test('files, imports and drop-ins come to what `containerd config dump` says', () => {
      const input = fc.tuple(anyFile, fc.array(anyFile, { maxLength: 2 }), proxies, disabled)
      fc.assert(
        fc.property(input, ([main, dropIns, proxyPlugins, disabled_plugins]) =>
          withDirectory((directory) => {
            const path = join(directory, 'config.toml')
            mkdirSync(join(directory, 'conf.d'))
            const whole = {
              imports: [join(directory, 'conf.d', '*.toml')],
              proxy_plugins: proxyPlugins,
              disabled_plugins,
              ...main,
            }
            writeFileSync(path, stringify(whole))
            let highest = Number(main['version'] ?? 0)
            for (const [i, file] of dropIns.entries()) {
              // containerd 2.3 refuses a drop-in of a higher version than the main file's, which is, where that one states
              // none, the first that a drop-in states.
              const stated = Number(file['version'] ?? 0)
              if (highest > 0 && stated > highest) continue
              if (highest === 0) highest = stated
              writeFileSync(join(directory, 'conf.d', `${i}.toml`), stringify(file))
            }
            const dumped = join(directory, 'dumped.toml')
            const dump = spawnSync(binary, ['-c', path, 'config', 'dump'], { encoding: 'utf8' })
            const read = readContainerdConfig({ path, daemon })
            expect({ refused: read.refusals.length > 0, why: dump.stderr }).toMatchObject({
              refused: dump.status !== 0,
            })
            if (dump.status !== 0) return
            writeFileSync(dumped, dump.stdout.replace(/^imports = .*$/m, ''))
            const expected = comparable(readContainerdConfig({ path: dumped, daemon }))
            const ours = comparable(read)
            expect({ ...ours, sandboxImage: ours.sandboxImage ?? expected.sandboxImage }).toEqual(expected)
          }),
        ),
        { numRuns: 40 },
      )
    })
  })
  if ('missing' in found) test.skip(`containerd ${version}: ${found.missing}`, () => undefined)
}
