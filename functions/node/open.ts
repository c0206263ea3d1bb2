import { hasCode, LayercastError } from '../errors.ts'
import type { CallOptions } from './containerd/calls.ts'
import type { Rebuilt } from './embedded/rebuild/rebuild.ts'
import type { Backend } from './ports.ts'

/** Where the embedded backend keeps what it has, unless told otherwise. */
const DEFAULT_ROOT = '/var/lib/layercast'

export interface BackendOptions extends CallOptions {
  /** Which one; by default what `root` or an address say, and else containerd where its socket answers. */
  backend?: Backend['kind'] | undefined
  /** The embedded backend's directory. */
  root?: string | undefined
  /** containerd's socket; CONTAINERD_ADDRESS, and then containerd's default, where absent. */
  address?: string | undefined
  /** containerd's namespace; CONTAINERD_NAMESPACE, and then `default`, where absent. */
  namespace?: string | undefined
}

/**
 * Opens the node's parts. A named backend, root or address is taken at its word: it is never replaced by another.
 * Where nothing is named, containerd's default socket decides: nobody there means embedded. USAGE for a root beside an
 * address, and for either with the backend that has no use for it; CONTAINERD_UNREACHABLE.
 */
export async function openBackend(options: BackendOptions = {}): Promise<Backend> {
  const kind = named(options)
  if (kind === 'embedded') return await openEmbeddedAt(options.root)
  if (kind === 'containerd') return await connect(options)
  try {
    return await connect(options)
  } catch (error) {
    if (!hasCode(error, 'CONTAINERD_UNREACHABLE') || !isNobodyThere(error)) throw error
    return await openEmbeddedAt(undefined)
  }
}

function named({ backend, root, address }: BackendOptions): Backend['kind'] | undefined {
  // As of a variable that is not set: the current directory is not what is meant.
  if (root === '' || address === '') {
    const flag = root === '' ? '--root' : '--address'
    throw new LayercastError('USAGE', `${flag} is empty`, { fix: `Give ${flag} a path, or leave it out.` })
  }
  if (root !== undefined && address !== undefined) {
    throw new LayercastError(
      'USAGE',
      `a root (${root}) is the embedded backend's, an address (${address}) containerd's`,
      { fix: 'Give one of --root and --address.' },
    )
  }
  if (root !== undefined && backend === 'containerd') throw unfit(`a root (${root})`, backend, '--root')
  if (address !== undefined && backend === 'embedded') throw unfit(`an address (${address})`, backend, '--address')
  if (backend !== undefined) return backend
  if (root !== undefined) return 'embedded'
  return address !== undefined || process.env['CONTAINERD_ADDRESS'] ? 'containerd' : undefined
}

/** USAGE: an option that the backend has no use for was meant for the other one. */
export function unfit(what: string, kind: Backend['kind'], flag: string): LayercastError {
  return new LayercastError('USAGE', `${what} means nothing to the ${kind} backend`, {
    fix: `Leave ${flag} out, or choose the other backend with --backend.`,
  })
}

// The adapters are loaded when they are needed: gRPC and SQLite would make every start of the CLI slower.
async function connect({ address, namespace, signal, onSilence }: BackendOptions): Promise<Backend> {
  const { connectContainerd } = await import('./containerd/backend.ts')
  return await connectContainerd({
    ...(address === undefined ? {} : { address }),
    ...(namespace === undefined ? {} : { namespace }),
    signal,
    onSilence,
  })
}

async function openEmbeddedAt(root: string | undefined): Promise<Backend> {
  const { openEmbedded } = await import('./embedded/backend.ts')
  return await openEmbedded({ root: root ?? DEFAULT_ROOT })
}

/** No socket, or one that nobody serves. Anything else (no permission, no answer) is a containerd that has a problem. */
function isNobodyThere(error: unknown): boolean {
  for (let under: unknown = error; under instanceof Error; under = under.cause) {
    if ('code' in under && (under.code === 'ENOENT' || under.code === 'ECONNREFUSED')) return true
  }
  return false
}

/** Makes the embedded backend's database again, at its default place where no root is given. Errors as `rebuildRoot`. */
export async function rebuildRootAt(
  root: string | undefined,
  options: { dryRun: boolean; signal: AbortSignal },
): Promise<Rebuilt> {
  const { rebuildRoot } = await import('./embedded/rebuild/rebuild.ts')
  return await rebuildRoot({ root: root ?? DEFAULT_ROOT, ...options })
}
