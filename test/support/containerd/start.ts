/** Private containerd daemons for the tests. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { connectContainerd, type ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { BuiltImage } from '../images/image.ts'
import { writeOciArchive } from '../images/write.ts'
import { layercast, type Ran } from '../layercast.ts'
import { containerdConfig, placesOf, type ConfigOptions } from './config.ts'
import { Daemon } from './daemon.ts'
import { clear, makeDirectory } from './directory.ts'
import { writeLoneNetwork, writeMirror } from './network.ts'
import { nydusSocket, startNydus } from './nydus.ts'
import { remoteSocket, startRemote, type RemoteSnapshotter } from './remote.ts'
import { programs, type ContainerdVersion } from './versions.ts'

const run = promisify(execFile)

export interface StartOptions extends ConfigOptions {
  version?: ContainerdVersion
  /** The namespace of `ctr` and `connect`; ctr's own default where it is left out. */
  namespace?: string
  /** Start the nydus snapshotter in proxy mode too, as the proxy plugin `nydus`. */
  nydus?: boolean
  /** Start this snapshotter too, as the proxy plugin of its name. */
  remote?: RemoteSnapshotter
  /** Where its directory is made; the system's temporary directory where it is left out. */
  parent?: string
}

interface ImportOptions {
  /** Unpack into this snapshotter as `ctr images import` does; without it the image is imported only. */
  snapshotter?: string
  /** The name before the archive's tag (`--base-name`). */
  baseName?: string
  allPlatforms?: boolean
}

interface ImportedImage {
  name: string
  /** The archive that it came out of. */
  archive: string
}

/** A private containerd: everything of it lies in one directory that goes with it. */
export interface TestContainerd {
  readonly version: ContainerdVersion
  readonly directory: string
  /** A directory for the files of the tests; it goes with the daemon. */
  readonly files: string
  readonly address: string
  readonly namespace: string
  /** The environment in which the layercast program finds this daemon. */
  readonly env: Record<string, string>
  readonly pid: number
  /** The snapshotter that `remote` asked for. */
  readonly remote: Daemon | undefined
  /** Runs this version's ctr against the daemon, the command first; its standard output. */
  ctr(...args: string[]): Promise<string>
  /** Imports an OCI or docker archive and gives the names of the images that it made. */
  importArchive(file: string, options?: ImportOptions): Promise<string[]>
  /** Imports the image as `BASE:1` out of an OCI archive. */
  importImage(image: BuiltImage, base: string, options?: Pick<ImportOptions, 'snapshotter'>): Promise<ImportedImage>
  /** Runs the program as a user does, on this daemon. */
  layercast(...args: string[]): Promise<Ran>
  /** A backend on the daemon, closed by `stop`. */
  connect(namespace?: string): Promise<ContainerdBackend>
  /** What the daemon has written to its log. */
  log(): string
  /** Kills the daemon as a power cut would; `start` brings it up again on the same state. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends the daemon and all that it started, unmounts and removes the directory. */
  stop(): Promise<void>
}

/** Starts a private containerd and waits until it answers. Throws where the version's programs are not there. */
export async function startContainerd(options: StartOptions = {}): Promise<TestContainerd> {
  const { version = '1.6', namespace = 'default', nydus = false } = options
  const found = await programs(version)
  if ('missing' in found) throw new Error(`containerd ${version} cannot run here: ${found.missing}`)
  const directory = await makeDirectory(options.parent)
  const files = join(directory, 'files')
  const config = join(directory, 'config.toml')
  const daemon = new Daemon({
    program: found.containerd,
    args: ['--config', config],
    cwd: directory,
    env: { PATH: found.path, TMPDIR: join(directory, 'tmp') },
    ready: (log) => log.includes('successfully booted'),
  })
  const { remote } = options
  const proxies = {
    ...(nydus ? { nydus: nydusSocket(directory) } : {}),
    ...(remote === undefined ? {} : { [remote]: remoteSocket(directory, remote) }),
    ...options.proxies,
  }
  let remoteDaemon: Daemon | undefined
  try {
    await mkdir(join(directory, 'tmp'))
    await mkdir(files)
    await writeFile(config, containerdConfig(version, directory, { ...options, proxies }))
    if (options.cri?.network === true) await writeLoneNetwork(placesOf(directory))
    if (options.cri?.mirror !== undefined) await writeMirror(placesOf(directory), options.cri.mirror)
    if (nydus) await startNydus(directory)
    if (remote !== undefined) remoteDaemon = await startRemote(directory, remote)
    await daemon.start()
  } catch (error) {
    await clear(directory)
    throw error
  }

  const address = join(directory, 'containerd.sock')
  const env = { CONTAINERD_ADDRESS: address, CONTAINERD_NAMESPACE: namespace }
  const backends: ContainerdBackend[] = []
  const ctr = async (...args: string[]): Promise<string> => {
    const { CONTAINERD_SNAPSHOTTER: _, ...inherited } = process.env
    const { stdout } = await run(found.ctr, keptPrivate(args, directory), {
      env: { ...inherited, PATH: found.path, ...env },
      maxBuffer: 64 << 20,
    })
    return stdout
  }

  const importArchive: TestContainerd['importArchive'] = async (
    file,
    { snapshotter, baseName, allPlatforms = false } = {},
  ) => {
    const before = new Set(imageNames(await ctr('images', 'ls', '-q')))
    // From 2.0 on ctr leaves the import to the daemon, which unpacks only where its configuration says so.
    const where = version.startsWith('2.') ? ['--local'] : []
    const unpack = snapshotter === undefined ? ['--no-unpack'] : ['--snapshotter', snapshotter]
    const base = baseName === undefined ? [] : ['--base-name', baseName]
    const platforms = allPlatforms ? ['--all-platforms'] : []
    await ctr('images', 'import', ...where, ...unpack, ...base, ...platforms, file)
    return imageNames(await ctr('images', 'ls', '-q')).filter((name) => !before.has(name))
  }
  let archives = 0

  return {
    version,
    directory,
    files,
    address,
    namespace,
    env,
    get pid() {
      return daemon.pid
    },
    remote: remoteDaemon,
    ctr,

    importArchive,

    async importImage(image, base, where = {}) {
      const archive = join(files, `imported-${++archives}.tar`)
      await writeOciArchive(image, archive, { ref: '1' })
      await importArchive(archive, { ...where, baseName: base })
      return { name: `${base}:1`, archive }
    },

    layercast: (...args) => layercast(args, { env }),

    async connect(other = namespace) {
      const backend = await connectContainerd({ address, namespace: other })
      backends.push(backend)
      return backend
    },

    log: () => daemon.log,
    kill: () => daemon.kill(),
    start: () => daemon.start(),

    async stop() {
      for (const backend of backends) await backend.close()
      await clear(directory)
    },
  }
}

/** Adds what keeps the files of a container in the directory: ctr's own defaults are places of the machine. */
function keptPrivate(args: readonly string[], directory: string): string[] {
  const at = args.indexOf('run')
  const command = args.findIndex((arg) => !arg.startsWith('-'))
  if (at === -1 || at !== command) return [...args]
  const flags = ['--fifo-dir', join(directory, 'fifo'), '--runc-root', join(directory, 'runc')]
  return [...args.slice(0, at + 1), ...flags, ...args.slice(at + 1)]
}

function imageNames(listing: string): string[] {
  return listing.split('\n').filter((name) => name !== '')
}
