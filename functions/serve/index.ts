/** `layercast serve`: the same Worker that runs at the edge, under workerd on this machine, its data in one directory. */
import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Miniflare, NoOpLog } from 'miniflare'
import { LayercastError } from '../image/errors.ts'
import { makeDirectory } from '../runner/system/make-directory.ts'
import { lockDirectory } from './lock.ts'
import { applyMigrations } from './migrations.ts'
import { operatorTokenHash } from './operator-token.ts'

export interface ServeOptions {
  /** Where the database, the fleet's object and the operator token are kept. Made if it is not there. */
  root: string
  /** 127.0.0.1 if absent. */
  host?: string
  /** 0, or absent, takes a free one. */
  port?: number
  /** Whether anyone who reaches the port may plan; if absent, where only this machine can. */
  openPlanner?: boolean
  /** Takes what the Worker logs, line by line; stderr if absent. */
  log?: (line: string) => void
}

export interface Served {
  url: string
  /** The file that holds the first operator token. */
  operatorTokenFile: string
  close(): Promise<void>
}

/** This package, wherever it lies: a checkout, or installed. */
const PACKAGE = new URL('./', import.meta.resolve('layercast/package.json'))

/**
 * Starts the built Worker with its database migrated. Errors: SYSTEM_CALL_FAILED when the directory cannot be written,
 * WORKER_NOT_BUILT, PORT_IN_USE, SERVER_FAILED when workerd does not start, FAILED_PRECONDITION when another server has
 * the directory, REQUEST_INVALID when the operator token's file holds something else.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { root, host = '127.0.0.1', port = 0, log = (line) => process.stderr.write(`${line}\n`) } = options
  await makeRoot(root)
  const operatorTokenFile = join(root, 'operator-token')
  const openPlanner = options.openPlanner ?? isLoopback(host)
  const worker = await workerFiles()
  const operatorHash = await operatorTokenHash(operatorTokenFile)
  const lock = lockDirectory(root, join(root, 'lock'))
  const miniflare = new Miniflare({
    host,
    port,
    // Nothing is fetched from anywhere, and nothing is told to anyone.
    cf: false,
    telemetry: { enabled: false },
    log: new NoOpLog(),
    logRequests: false,
    handleStructuredLogs: ({ level, message }) => log(`${level}: ${message}`),
    resourcePersistencePath: join(root, 'state'),
    workers: [
      {
        dev: { rootPath: fileURLToPath(PACKAGE) },
        config: {
          name: 'layercast',
          compatibilityDate: '2026-10-01',
          manifest: {
            mainModule: 'index.js',
            modules: {
              'index.js': { type: 'esm', contents: worker.script },
              'core.wasm': { type: 'wasm', contents: worker.wasm },
            },
          },
          env: {
            OPEN_PLANNER: { type: 'text', value: String(openPlanner) },
            OPERATOR_TOKEN_SHA256: { type: 'text', value: operatorHash },
            DB: { type: 'd1', id: 'layercast' },
            FLEET: { type: 'durable-object', worker: 'layercast', exportName: 'Fleet' },
          },
          exports: { Fleet: { type: 'durable-object', storage: 'sqlite' } },
        },
      },
    ],
  })
  try {
    const url = await miniflare.ready
    const { DB } = await miniflare.getBindings<{ DB: Parameters<typeof applyMigrations>[0] }>()
    await applyMigrations(DB, fileURLToPath(new URL('functions/api/migrations', PACKAGE)))
    const close = () => miniflare.dispose().finally(lock.release)
    return { url: url.origin, operatorTokenFile, close }
  } catch (error) {
    // A server that never started tells the same failure once more when it is put away.
    await miniflare.dispose().catch(() => undefined)
    lock.release()
    throw startFailure(error, host, port)
  }
}

async function makeRoot(root: string): Promise<void> {
  try {
    makeDirectory(root, 0o700)
    await access(root, constants.W_OK)
  } catch (cause) {
    throw new LayercastError('SYSTEM_CALL_FAILED', `the server cannot keep its data in ${root}`, {
      cause,
      fix: 'Name a directory that this user may write with --data.',
      detail: { root },
    })
  }
}

async function workerFiles() {
  const built = new URL('dist/worker/', PACKAGE)
  try {
    const script = await readFile(new URL('index.js', built), 'utf8')
    return { script, wasm: await readFile(new URL('core.wasm', built)) }
  } catch (error) {
    throw new LayercastError('WORKER_NOT_BUILT', 'dist/worker does not hold the built Worker', {
      cause: error,
      fix: 'Run npm run build.',
    })
  }
}

function startFailure(error: unknown, host: string, port: number): LayercastError {
  if (error instanceof LayercastError) return error
  const text = error instanceof Error ? error.message : String(error)
  if ((error as { code?: unknown }).code === 'ERR_ADDRESS_IN_USE' || /address (?:already )?in use/i.test(text)) {
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

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}
