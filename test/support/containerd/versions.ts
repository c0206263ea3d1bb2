/** The containerd versions of the tests, and their programs. */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { buildTools, type Built } from './go-build.ts'

const run = promisify(execFile)

/** The containerd versions that tests run over: 1.6 is Debian 12's package, the others are built from the Go module proxy. */
const VERSIONS = ['1.6', '1.7', '2.1', '2.2', '2.3', '2.4'] as const

/** The last version that unpacks without labels as a container is created; the matrix has the newest of its line. */
export const BEFORE_LABELS = '2.2.1'
export type ContainerdVersion = (typeof VERSIONS)[number] | typeof BEFORE_LABELS

/** The newest of them. A test of something that only new versions have runs on this one. */
export const NEWEST = '2.4' satisfies ContainerdVersion

const RELEASES: Record<Exclude<ContainerdVersion, '1.6'>, string> = {
  '1.7': '1.7.35',
  '2.1': '2.1.5',
  [BEFORE_LABELS]: '2.2.1',
  '2.2': '2.2.9',
  '2.3': '2.3.7',
  '2.4': '2.4.2',
}

/** Whether a version is this one or a later one. */
export function isAtLeast(version: ContainerdVersion, least: ContainerdVersion): boolean {
  const line = (of: ContainerdVersion): number =>
    VERSIONS.findIndex((known) => of === known || of.startsWith(`${known}.`))
  return line(version) >= line(least)
}

/** Where one version's programs are, or why they are not. */
export type Programs = { containerd: string; ctr: string; path: string } | { missing: string }

/**
 * The versions that a test file covers: 1.6 and 2.4, or those that LAYERCAST_TEST_CONTAINERD names (`all`, or a list such
 * as `1.6,1.7`).
 */
export function matrix(): readonly ContainerdVersion[] {
  const wanted = process.env['LAYERCAST_TEST_CONTAINERD'] ?? '1.6,2.4'
  if (wanted === 'all') return VERSIONS
  return wanted.split(',').map((name) => {
    const version = VERSIONS.find((known) => known === name.trim())
    if (version === undefined) throw new Error(`LAYERCAST_TEST_CONTAINERD: ${name} is none of ${VERSIONS.join(', ')}`)
    return version
  })
}

/**
 * The versions before which the CRI proxy is tested: the newest, which is built for other tests too; where versions are named (as
 * `npm run test:matrix` does), those that need the proxy.
 */
export function versionsBehindProxy(): readonly ContainerdVersion[] {
  return process.env['LAYERCAST_TEST_CONTAINERD'] === undefined ? [NEWEST] : ['1.7', BEFORE_LABELS]
}

/** Finds a version's programs; builds them when that takes nothing but Go. */
export async function programs(version: ContainerdVersion): Promise<Programs> {
  if (process.getuid?.() !== 0) return { missing: 'containerd needs root' }
  const path = process.env['PATH'] ?? ''
  if (version !== '1.6') {
    const release = RELEASES[version]
    const built: Built = await buildTools(`containerd-${release}`, {
      [`github.com/containerd/containerd${release.startsWith('1.') ? '' : '/v2'}/version.Version`]: `v${release}`,
    })
    if ('missing' in built) return built
    return {
      containerd: join(built.directory, 'containerd'),
      ctr: join(built.directory, 'ctr'),
      path: `${built.directory}${delimiter}${path}`,
    }
  }
  const containerd = await which('containerd')
  const ctr = await which('ctr')
  if (containerd === undefined || ctr === undefined) {
    return { missing: 'containerd is not installed (test/support/install-test-tools.sh installs it)' }
  }
  const { stdout } = await run(containerd, ['--version'])
  if (!/ v?1\.6\./.test(stdout)) return { missing: `the machine's containerd is not 1.6: ${stdout.trim()}` }
  return { containerd, ctr, path }
}

/** The nydus snapshotter's program. */
export async function nydusProgram(): Promise<{ program: string } | { missing: string }> {
  const built = await buildTools('nydus-0.16.1', {})
  return 'missing' in built ? built : { program: join(built.directory, 'containerd-nydus-grpc') }
}

async function which(program: string): Promise<string | undefined> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, program)
    const there = await access(path).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return undefined
}
