/** Builds programs in Go that tests drive: containerd, ctr, remote snapshotters, the tools of CRI. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { alive } from './processes.ts'

const run = promisify(execFile)

/** Where the programs of one module are, or why they are not. */
export type Built = { directory: string } | { missing: string }

const GO_PLACES = ['go', '/usr/local/go/bin/go']
// What go says when it cannot reach where modules come from, or is told not to.
const OFFLINE = /dial tcp|no such host|connection refused|i\/o timeout|network is unreachable|module lookup disabled/
// What go says to a module that wants a newer one.
const NEWER_GO = /requires go >= ([\d.]+)/
const LEAST_GO = [1, 26] as const

/** A program of our own in a module beside this file: its `main.go`, and `serve.go`, which all of them link to. */
interface OwnProgram {
  /** What the program is called. */
  program: string
  /** Archives of C that it links, as `libz.a`, and the Debian package of each; none where it is Go alone. */
  archives?: Readonly<Record<string, string>>
}

interface ModuleOptions {
  stamps?: Record<string, string>
  suites?: Readonly<Record<string, string>>
  own?: OwnProgram
}

/**
 * Builds the `tool` lines of a module.
 * @param module its folder, seen from this file's
 * @param stamps variables that the linker sets
 * @param suites programs that are test binaries (`go test -c`), by name: their packages
 */
export async function buildTools(
  module: string,
  stamps: Record<string, string>,
  suites: Readonly<Record<string, string>> = {},
): Promise<Built> {
  return await buildModule(module, { stamps, suites })
}

/** Builds the `main.go` of a module beside this file, for libraries whose own programs the Go proxy cannot build. */
export async function buildProgram(
  module: string,
  own: OwnProgram,
): Promise<{ program: string } | { missing: string }> {
  const built = await buildModule(module, { own })
  return 'missing' in built ? built : { program: join(built.directory, own.program) }
}

/**
 * Builds a module's programs into a cache outside the checkout, unless they are there. The cache's key is a hash of all that the
 * build depends on. One process builds at a time; others that need the same module wait for it.
 */
async function buildModule(module: string, { stamps = {}, suites = {}, own }: ModuleOptions): Promise<Built> {
  const source = join(import.meta.dirname, module)
  const name = basename(source)
  const variables = Object.entries(stamps).map(([variable, value]) => `-X ${variable}=${value}`)
  const flags = ['-trimpath', '-buildvcs=false', '-mod=readonly', '-tags=no_btrfs']
  const args = [...flags, `-ldflags=-s -w ${variables.join(' ')}`]
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum', ...(own === undefined ? [] : ['main.go', 'serve.go'])])
    hash.update(await readFile(join(source, file)))
  hash.update(['build', ...args, ...Object.entries(suites).flat()].join('\0'))
  const key = `${name}-${hash.digest('hex').slice(0, 16)}`
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'layercast-test')
  const directory = join(cache, key)
  if (await exists(directory)) return { directory }

  const go = await findGo()
  if (go === undefined) return { missing: `${name} is built with Go ${LEAST_GO.join('.')}, which is not there` }
  for (const [archive, debian] of Object.entries(own?.archives ?? {})) {
    if (!(await linksArchive(archive))) return { missing: `${name} is built with gcc and ${archive} (${debian})` }
  }
  await mkdir(cache, { recursive: true })
  const unlock = await lock(join(cache, `${key}.lock`))
  try {
    if (await exists(directory)) return { directory }
    const partial = join(cache, `${key}.partial`)
    await rm(partial, { recursive: true, force: true })
    console.error(`building ${name} once, which takes some minutes...`)
    const target = own === undefined ? [`-o=${partial}/`, 'tool'] : [`-o=${join(partial, own.program)}`, '.']
    const cgo = own?.archives === undefined ? '0' : '1'
    const commands = [['build', ...args, ...target]]
    for (const [suite, path] of Object.entries(suites)) {
      commands.push(['test', '-c', ...args, '-o', join(partial, suite), path])
    }
    for (const command of commands) {
      const failure = await runGo(go, command, source, cgo)
      if (failure === undefined) continue
      if (OFFLINE.test(failure)) return { missing: `the modules of ${name} cannot be fetched` }
      const newer = NEWER_GO.exec(failure)
      if (newer !== null) return { missing: `${name} is built with Go ${newer[1]}, which is not there` }
      throw new Error(`go ${command[0]} of ${name} failed:\n${failure}`)
    }
    await rename(partial, directory)
    return { directory }
  } finally {
    await unlock()
  }
}

/** Runs go; what it had to say when it failed. */
function runGo(go: string, args: string[], cwd: string, cgo: '0' | '1'): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn('nice', ['-n', '15', go, ...args], {
      cwd,
      env: { ...process.env, CGO_ENABLED: cgo, GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log = `${log}${text}`.slice(-4000)))
    child.on('error', reject)
    child.on('close', (code) => resolve(code === 0 ? undefined : log || `status ${code}`))
  })
}

async function linksArchive(archive: string): Promise<boolean> {
  // gcc answers with the bare name where it has no such file.
  const path = await run('gcc', [`-print-file-name=${archive}`]).then(
    ({ stdout }) => stdout.trim(),
    () => archive,
  )
  return path !== archive && (await exists(path))
}

async function findGo(): Promise<string | undefined> {
  for (const go of GO_PLACES) {
    const version = await run(go, ['env', 'GOVERSION'], { env: { ...process.env, GOTOOLCHAIN: 'local' } }).then(
      ({ stdout }) => /^go(\d+)\.(\d+)/.exec(stdout),
      () => null,
    )
    if (version === null) continue
    const [major, minor] = [Number(version[1]), Number(version[2])]
    if (major > LEAST_GO[0] || (major === LEAST_GO[0] && minor >= LEAST_GO[1])) return go
  }
  return undefined
}

/** A lock between processes: a directory that names its owner, taken over when the owner is gone. */
async function lock(path: string): Promise<() => Promise<void>> {
  const owner = join(path, 'pid')
  for (;;) {
    try {
      await mkdir(path)
      await writeFile(owner, String(process.pid))
      return () => rm(path, { recursive: true, force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    await sleep(500)
    const pid = Number(await readFile(owner, 'utf8').catch(() => ''))
    if (pid > 0 && !alive(pid)) await rm(path, { recursive: true, force: true })
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
