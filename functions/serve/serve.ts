/** `layercast serve`: the Worker that runs at the edge, here under workerd, with its data in one directory. */
import { lookup } from 'node:dns/promises'
import { access, constants } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LayercastError } from '../errors.ts'
import { makeDirectory } from '../linux/make-directory.ts'
import { allowedHosts } from './allowed-hosts.ts'
import { lockDirectory } from './lock.ts'
import { operatorTokenHash } from './operator-token.ts'
import { closeDirectory } from './private-files.ts'
import { listen, migrate } from './workerd.ts'

export interface ServeOptions {
  /** The data directory: the database, the data of the Durable Object, the operator token. Made if it is not there. */
  root: string
  /** 127.0.0.1 if absent. */
  host?: string | undefined
  /** A free port if 0 or absent. */
  port?: number | undefined
  /** Names that it answers to besides those of the loopback and `host`: those of a proxy before it. */
  allowHosts?: readonly string[] | undefined
  /** Whether anyone who reaches the port may plan without a token; false if absent. */
  openPlanner?: boolean | undefined
  /** Gets what workerd and the Worker log, line by line; stderr if absent. */
  log?: ((line: string) => void) | undefined
}

export interface Served {
  url: string
  /** The file that holds the first operator token. */
  operatorTokenFile: string
  /** Rejects with SERVER_FAILED if workerd ends before `close` is called. */
  ended: Promise<never>
  close(): Promise<void>
}

/** The root of this package, in a checkout and where it is installed. */
const PACKAGE = new URL('./', import.meta.resolve('layercast/package.json'))

/**
 * Migrates the database and then starts the built Worker, so that nothing listens on a database of an older version. Errors:
 * SYSTEM_CALL_FAILED if the directory cannot be written; FAILED_PRECONDITION if another server has it, or other users do;
 * WORKER_NOT_BUILT; REQUEST_INVALID if the file of the operator token holds anything else; USAGE for a host name that is none;
 * PORT_IN_USE; SERVER_FAILED if a migration fails or workerd does not start.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { host = '127.0.0.1', port = 0, log = (line) => process.stderr.write(`${line}\n`) } = options
  // workerd finds no directory by a relative path.
  const root = resolve(options.root)
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

/** The first address of a host, with the port. Given a name, workerd would listen on every address of it. */
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
