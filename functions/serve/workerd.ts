/** workerd as a child process. What it runs is in worker/*.capnp; it listens on the one address that it is given. */
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
  /** Rejects with SERVER_FAILED if workerd ends before `stop` is called. */
  ended: Promise<never>
  stop(): Promise<void>
}

export interface WorkerdOptions {
  /** The directory of the built configurations and Workers (dist/serve). */
  built: string
  /** The directories that workerd may write, by the name of their disk service in the configuration. */
  directories: Readonly<Record<string, string>>
  /** The descriptor of the locked file. workerd inherits it, and so holds the lock as long as it runs. */
  lock: number
  /** Gets what workerd and the Workers log, line by line. */
  log: (line: string) => void
}

/** How many of the last log lines are kept, for the error if workerd ends. */
const KEPT_LINES = 20

/** How long workerd may take to end its connections before it is killed. */
const STOP_MS = 2000

/** Runs the migrations in a workerd that listens nowhere. SERVER_FAILED if one fails. */
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

/** Serves on an address. Where workerd does not start, throws a plain Error with its last log lines; the caller knows the host and port. */
export async function listen(
  options: WorkerdOptions,
  address: string,
  environment: Readonly<Record<string, string>>,
): Promise<Workerd> {
  const flags = [...directoryFlags(options), `--socket-addr=http=${address}`, '--control-fd=3']
  // Lines from before it listens go into the error if it does not start, else to the log once it listens.
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
  // A caller that does not wait for `ended` must not be ended by an unhandled rejection.
  ended.catch(() => undefined)
  const stop = async (): Promise<void> => {
    stopping = true
    child.kill('SIGTERM')
    // workerd waits for its open connections to end. A client that keeps one open must not hold up the server.
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await closed
    clearTimeout(late)
  }
  return { port, ended, stop }
}

async function start(
  args: string[],
  { built, lock }: WorkerdOptions,
  environment: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<{ child: ChildProcess; said: string[] }> {
  const program = pathOfWorkerd()
  // Detached: Ctrl-C in a terminal goes to this process alone, which then stops workerd. The umask makes all files that
  // workerd and SQLite create their owner's alone.
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

/** The path of the program, which is the default export of the (CommonJS) package `workerd`. */
function pathOfWorkerd(): string {
  return (createRequire(import.meta.url)('workerd') as { default: string }).default
}

function directoryFlags({ directories }: WorkerdOptions): string[] {
  return Object.entries(directories).map(([name, path]) => `--directory-path=${name}=${path}`)
}

/** The port that workerd listens on, from the events on its control descriptor; undefined if it ends before. */
async function portOf(control: Readable): Promise<number | undefined> {
  for await (const line of createInterface(control)) {
    const said = JSON.parse(line) as { event: string; socket?: string; port?: number }
    if (said.event === 'listen' && said.socket === 'http') return said.port
  }
  return undefined
}

/** The words of a log line. workerd's own lines are JSON, with a level and a message. */
function wordsOf(line: string): string {
  try {
    const { level, message } = JSON.parse(line) as { level?: unknown; message?: unknown }
    if (typeof level === 'string' && typeof message === 'string') return `${level}: ${message}`
  } catch {
    // Not JSON: workerd wrote it before it set up its log.
    return line
  }
  return line
}
