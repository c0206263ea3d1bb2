/** Opens the backend of a node: containerd's, or the embedded one. */
import { hasCode, LayercastError } from '../errors.ts'
import type { CallOptions } from './containerd/calls.ts'
import type { Rebuilt } from './embedded/rebuild/rebuild.ts'
import type { Backend } from './ports.ts'

/** The embedded backend's default root. */
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
 * Opens the backend. A backend, root or address that the options name is used, or the call fails; it is never replaced by another.
 * Where they name none, it is containerd if a process serves its default socket, and else the embedded one. USAGE for a root and an
 * address together, and for either with the backend that has no use for it; CONTAINERD_UNREACHABLE; errors as `openEmbedded`.
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
  // Probably from a shell variable that is not set. It must not mean the current directory.
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

/** USAGE for an option that the backend has no use for. */
export function unfit(what: string, kind: Backend['kind'], flag: string): LayercastError {
  return new LayercastError('USAGE', `${what} means nothing to the ${kind} backend`, {
    fix: `Leave ${flag} out, or choose the other backend with --backend.`,
  })
}

// Each adapter is loaded when it is needed: to load gRPC and SQLite at every start would make the CLI slower.
async function connect({ address, namespace, signal, onSilence }: BackendOptions): Promise<Backend> {
  const { connectContainerd } = await import('./containerd/backend.ts')
  return await connectContainerd({ address, namespace, signal, onSilence })
}

async function openEmbeddedAt(root: string | undefined): Promise<Backend> {
  const { openEmbedded } = await import('./embedded/backend.ts')
  return await openEmbedded({ root: root ?? DEFAULT_ROOT })
}

/** Whether there is no socket, or no process serves it. Any other error (permission, no answer) is a containerd with a problem. */
function isNobodyThere(error: unknown): boolean {
  for (let under: unknown = error; under instanceof Error; under = under.cause) {
    if ('code' in under && (under.code === 'ENOENT' || under.code === 'ECONNREFUSED')) return true
  }
  return false
}

/** `rebuildRoot` for the given root, or the default one. */
export async function rebuildRootAt(
  root: string | undefined,
  options: { dryRun: boolean; signal: AbortSignal },
): Promise<Rebuilt> {
  const { rebuildRoot } = await import('./embedded/rebuild/rebuild.ts')
  return await rebuildRoot({ root: root ?? DEFAULT_ROOT, ...options })
}
