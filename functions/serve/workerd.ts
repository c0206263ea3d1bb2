/** workerd as a process of ours: what it runs is in worker/*.capnp, and only the one address that is named listens. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { LayercastError } from '../errors.ts'
import { withPrivateUmask } from './private-files.ts'

export interface Workerd {
  port: number
  /** Rejects with SERVER_FAILED when workerd ends without having been stopped. */
  ended: Promise<never>
  stop(): Promise<void>
}

export interface WorkerdOptions {
  /** Where the built configurations and Workers lie. */
  built: string
  directories: Readonly<Record<string, string>>
  /** An open file that it inherits, and so holds locked as long as it runs. */
  lock: number
  /** Takes what workerd and the Workers say, line by line. */
  log: (line: string) => void
}

/** The last lines that workerd said are kept, to tell why it ended. */
const KEPT_LINES = 20

/** Runs the migrations, in a workerd that listens nowhere. SERVER_FAILED if one fails. */
export async function migrate(options: WorkerdOptions): Promise<void> {
  const { child, said } = await start(
    ['test', 'migrate.capnp', ...directoryFlags(options)],
    options,
    {},
    () => undefined,
  )
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  if (child.exitCode === 0) return
  throw new LayercastError('SERVER_FAILED', `the database could not be brought up to date: ${said.join('; ')}`, {
    fix: 'See that the data directory is whole, and that its disk has room.',
  })
}

/** Serves at an address. Errors are plain, with what workerd said: the caller knows what the address is. */
export async function listen(
  options: WorkerdOptions,
  address: string,
  environment: Readonly<Record<string, string>>,
): Promise<Workerd> {
  const flags = [...directoryFlags(options), `--socket-addr=http=${address}`, '--control-fd=3']
  // What it says before it listens is told with the error, or after.
  let listening = false
  const log = (line: string): void => {
    if (listening) options.log(line)
  }
  const { child, said } = await start(['serve', 'serve.capnp', ...flags], options, environment, log)
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const port = await Promise.race([portOf(child.stdio[3] as Readable), closed])
  if (port === undefined) {
    await closed
    throw new Error(said.join('; ') || `workerd ended with status ${child.exitCode}`)
  }
  for (const line of said) options.log(line)
  listening = true
  let stopping = false
  const ended = closed.then(() => {
    if (stopping) return new Promise<never>(() => undefined)
    const how = child.signalCode ?? `status ${child.exitCode}`
    throw new LayercastError('SERVER_FAILED', `workerd ended by itself (${how}): ${said.slice(-3).join('; ')}`, {
      fix: 'Start it again; its data is kept.',
    })
  })
  // Whoever does not wait for it is not to be ended by it.
  ended.catch(() => undefined)
  const stop = async (): Promise<void> => {
    stopping = true
    child.kill('SIGTERM')
    // It drains its connections first, and a client that holds one open must not hold the server up.
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await closed
    clearTimeout(late)
  }
  return { port, ended, stop }
}

const STOP_MS = 2000

async function start(
  args: string[],
  { built, lock }: WorkerdOptions,
  environment: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<{ child: ChildProcess; said: string[] }> {
  const program = pathOfWorkerd()
  // In a group of its own: Ctrl-C in a terminal is for us, who stop it then. Its files, SQLite's too, are for their owner.
  const child = withPrivateUmask(() =>
    spawn(program, args, {
      cwd: built,
      env: { TZ: 'UTC', ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', lock],
      detached: true,
    }),
  )
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface(stream).on('line', (line) => {
      const text = wordsOf(line)
      said.push(text)
      if (said.length > KEPT_LINES) said.shift()
      log(text)
    })
  }
  if (child.pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error]
    throw error
  }
  return { child, said }
}

/** The package is CommonJS, and its default export is the program's path. */
function pathOfWorkerd(): string {
  return (createRequire(import.meta.url)('workerd') as { default: string }).default
}

function directoryFlags({ directories }: WorkerdOptions): string[] {
  return Object.entries(directories).map(([name, path]) => `--directory-path=${name}=${path}`)
}

async function portOf(control: Readable): Promise<number | undefined> {
  for await (const line of createInterface(control)) {
    const said = JSON.parse(line) as { event: string; socket?: string; port?: number }
    if (said.event === 'listen' && said.socket === 'http') return said.port
  }
  return undefined
}

/** A line of a log: workerd writes its own as JSON, with a level and a message. */
function wordsOf(line: string): string {
  try {
    const { level, message } = JSON.parse(line) as { level?: unknown; message?: unknown }
    if (typeof level === 'string' && typeof message === 'string') return `${level}: ${message}`
  } catch {
    // Not JSON: what workerd says before its log is set up, as it stands.
    return line
  }
  return line
}
