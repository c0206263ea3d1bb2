/** `layercast serve`: the same Worker that runs at the edge, under workerd on this machine, its data in one directory. */
import { lookup } from 'node:dns/promises'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LayercastError } from '../errors.ts'
import { makeDirectory } from '../linux/make-directory.ts'
import { allowedHosts } from './allowed-hosts.ts'
import { lockDirectory } from './lock.ts'
import { operatorTokenHash } from './operator-token.ts'
import { closeDirectory } from './private-files.ts'
import { listen, migrate } from './workerd.ts'

export interface ServeOptions {
  /** Where the database, the fleet's object and the operator token are kept. Made if it is not there. */
  root: string
  /** 127.0.0.1 if absent. */
  host?: string
  /** 0, or absent, takes a free one. */
  port?: number
  /** Names, besides the loopback's and `host`, by which it may be asked for: those of a proxy before it. */
  allowHosts?: readonly string[]
  /** Whether anyone who reaches the port may plan; tokens are asked for if absent. */
  openPlanner?: boolean
  /** Takes what the Worker logs, line by line; stderr if absent. */
  log?: (line: string) => void
}

export interface Served {
  url: string
  /** The file that holds the first operator token. */
  operatorTokenFile: string
  /** Rejects with SERVER_FAILED when the server ends without having been closed. */
  ended: Promise<never>
  close(): Promise<void>
}

/** This package, wherever it lies: a checkout, or installed. */
const PACKAGE = new URL('./', import.meta.resolve('layercast/package.json'))

/**
 * Migrates the database, then starts the built Worker, so that nothing listens before. Errors: SYSTEM_CALL_FAILED when the directory cannot be written,
 * WORKER_NOT_BUILT, PORT_IN_USE, SERVER_FAILED when workerd does not start, FAILED_PRECONDITION when another server has
 * the directory, REQUEST_INVALID when the operator token's file holds something else.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { root, host = '127.0.0.1', port = 0, log = (line) => process.stderr.write(`${line}\n`) } = options
  await makeRoot(root)
  const operatorTokenFile = join(root, 'operator-token')
  const built = await workerFiles()
  const lock = lockDirectory(root, join(root, 'lock'))
  try {
    const operatorHash = await operatorTokenHash(operatorTokenFile)
    const directories = { d1: join(root, 'state', 'd1'), do: join(root, 'state', 'do') }
    for (const directory of Object.values(directories)) makeDirectory(directory, 0o700)
    await migrate({ built, directories: { d1: directories.d1 }, lock: lock.fd, log })
    const workerd = await listen({ built, directories, lock: lock.fd, log }, await addressOf(host, port), {
      LAYERCAST_OPEN_PLANNER: String(options.openPlanner ?? false),
      LAYERCAST_HOSTS: allowedHosts(host, options.allowHosts ?? []).join(' '),
      LAYERCAST_OPERATOR_TOKEN_SHA256: operatorHash,
    })
    const url = `http://${bracketed(host)}:${workerd.port}`
    const close = () => workerd.stop().finally(lock.release)
    return { url, operatorTokenFile, ended: workerd.ended, close }
  } catch (error) {
    lock.release()
    throw startFailure(error, host, port)
  }
}

async function makeRoot(root: string): Promise<void> {
  try {
    closeDirectory(root)
    await access(root, constants.W_OK)
  } catch (cause) {
    if (cause instanceof LayercastError) throw cause
    throw new LayercastError('SYSTEM_CALL_FAILED', `the server cannot keep its data in ${root}`, {
      cause,
      fix: 'Name a directory that this user may write with --data.',
      detail: { root },
    })
  }
}

async function workerFiles(): Promise<string> {
  const built = fileURLToPath(new URL('dist/serve/', PACKAGE))
  try {
    await access(join(built, 'serve.capnp'))
    await access(join(built, '..', 'worker', 'index.js'))
    return built
  } catch (error) {
    throw new LayercastError('WORKER_NOT_BUILT', 'dist does not hold the built Worker', {
      cause: error,
      fix: 'Run npm run build.',
    })
  }
}

/** One address, resolved here: workerd would listen on every address that a name has. */
async function addressOf(host: string, port: number): Promise<string> {
  const { address } = await lookup(host)
  return `${bracketed(address)}:${port}`
}

function startFailure(error: unknown, host: string, port: number): LayercastError {
  if (error instanceof LayercastError) return error
  const text = error instanceof Error ? error.message : String(error)
  if (/address (?:already )?in use/i.test(text)) {
    return new LayercastError('PORT_IN_USE', `port ${port} of ${host} is taken`, {
      cause: error,
      fix: 'Choose another with --port, or stop what listens there.',
      detail: { host, port },
    })
  }
  return new LayercastError('SERVER_FAILED', `the server did not start on ${host}: ${text}`, {
    cause: error,
    fix: 'Give --host an address of this machine.',
    detail: { host, port },
  })
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
