import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connectContainerd, type ContainerdBackend } from '../../../functions/runner/containerd/index.ts'
import { containerdConfig, type ConfigOptions } from './config.ts'
import { clear, makeDirectory } from './directory.ts'
import { programs, type ContainerdVersion, type Programs } from './versions.ts'

const run = promisify(execFile)

export interface StartOptions extends ConfigOptions {
  version?: ContainerdVersion
  /** The namespace of `ctr` and `connect`; ctr's own default where it is left out. */
  namespace?: string
}

export interface ImportOptions {
  /** Unpack into this snapshotter as `ctr images import` does; without it the image is imported only. */
  snapshotter?: string
  /** The name before the archive's tag (`--base-name`). */
  baseName?: string
  allPlatforms?: boolean
}

/** A private containerd: everything of it lies in one directory that goes with it. */
export interface TestContainerd {
  readonly version: ContainerdVersion
  readonly directory: string
  readonly address: string
  readonly namespace: string
  /** The environment in which the layercast program finds this daemon. */
  readonly env: Record<string, string>
  readonly pid: number
  /** Runs this version's ctr against the daemon; its standard output. */
  ctr(...args: string[]): Promise<string>
  /** Imports an OCI or docker archive and gives the names of the images that it made. */
  importArchive(file: string, options?: ImportOptions): Promise<string[]>
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
  const { version = '1.6', namespace = 'default' } = options
  const found = await programs(version)
  if ('missing' in found) throw new Error(`containerd ${version} cannot run here: ${found.missing}`)
  const directory = await makeDirectory()
  const daemon = new Daemon(found, directory)
  try {
    await mkdir(join(directory, 'tmp'))
    await writeFile(join(directory, 'config.toml'), containerdConfig(version, directory, options))
    await daemon.start()
  } catch (error) {
    await daemon.kill()
    await clear(directory)
    throw error
  }

  const address = join(directory, 'containerd.sock')
  const env = { CONTAINERD_ADDRESS: address, CONTAINERD_NAMESPACE: namespace }
  const backends: ContainerdBackend[] = []
  const ctr = async (...args: string[]): Promise<string> => {
    const { CONTAINERD_SNAPSHOTTER: _, ...inherited } = process.env
    const { stdout } = await run(found.ctr, args, {
      env: { ...inherited, PATH: found.path, ...env },
      maxBuffer: 64 << 20,
    })
    return stdout
  }

  return {
    version,
    directory,
    address,
    namespace,
    env,
    get pid() {
      return daemon.pid
    },
    ctr,

    async importArchive(file, { snapshotter, baseName, allPlatforms = false } = {}) {
      const before = new Set(imageNames(await ctr('images', 'ls', '-q')))
      // From 2.0 on ctr leaves the import to the daemon, which unpacks only where its configuration says so.
      const where = version.startsWith('2.') ? ['--local'] : []
      const unpack = snapshotter === undefined ? ['--no-unpack'] : ['--snapshotter', snapshotter]
      const base = baseName === undefined ? [] : ['--base-name', baseName]
      const platforms = allPlatforms ? ['--all-platforms'] : []
      await ctr('images', 'import', ...where, ...unpack, ...base, ...platforms, file)
      return imageNames(await ctr('images', 'ls', '-q')).filter((name) => !before.has(name))
    },

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
      await daemon.kill()
      await clear(directory)
    },
  }
}

class Daemon {
  readonly #programs: Exclude<Programs, { missing: string }>
  readonly #directory: string
  #process: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  log = ''

  constructor(found: Exclude<Programs, { missing: string }>, directory: string) {
    this.#programs = found
    this.#directory = directory
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  async start(): Promise<void> {
    const { containerd, path } = this.#programs
    const begin = this.log.length
    // The kernel kills the daemon should this process die without a word.
    const args = ['--pdeathsig', 'KILL', containerd, '--config', join(this.#directory, 'config.toml')]
    const child = spawn('setpriv', args, {
      cwd: this.#directory,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: path, TMPDIR: join(this.#directory, 'tmp') },
    })
    this.#process = child
    let ended = false
    this.#ended = new Promise((resolve) => {
      const done = (): void => {
        ended = true
        resolve()
      }
      child.on('error', (error) => {
        this.log += `${error}\n`
        done()
      })
      child.on('exit', done)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text))
    for (const deadline = Date.now() + 30_000; !this.log.includes('successfully booted', begin); await sleep(10)) {
      if (ended || Date.now() > deadline) throw new Error(`containerd did not start:\n${this.log.slice(begin)}`)
    }
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL')
    await this.#ended
  }
}

function imageNames(listing: string): string[] {
  return listing.split('\n').filter((name) => name !== '')
}
