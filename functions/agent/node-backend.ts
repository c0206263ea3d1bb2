/** Opens the backend of an agent, and waits for a containerd that is not up yet. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { hasCode } from '../errors.ts'
import { checkAborted } from '../kit/abort.ts'
import { pause } from '../kit/pause.ts'
import type { Backend } from '../node/ports.ts'
import { Backoff } from './backoff.ts'
import { DEFAULT_STATE_DIRECTORY } from './state.ts'

export interface NodeBackendOptions {
  /** Opens the backend: of the given kind, else the one that the user named, else the one that there is. */
  open: (kind: 'containerd' | undefined) => Promise<Backend>
  /** Whether the user named a backend, a root or an address. */
  named: boolean
  stateDirectory?: string | undefined
  signal: AbortSignal
  /** Called before each wait. Without it the first failure is thrown. */
  onWait?: ((error: unknown, waitMs: number) => void) | undefined
}

/**
 * Opens the backend of an agent, which may be started at boot before containerd. Where the user names none, it is containerd for a
 * node that joined with containerd, and for a machine on which containerd is installed; then it waits until containerd answers. Only
 * a machine without containerd gets the embedded backend. ABORTED, and what `open` throws.
 */
export async function openNodeBackend(options: NodeBackendOptions): Promise<Backend> {
  const { open, named, signal, onWait } = options
  const kind = !named && (await isContainerdNode(options.stateDirectory)) ? ('containerd' as const) : undefined
  const backoff = new Backoff()
  for (;;) {
    checkAborted(signal)
    try {
      return await open(kind)
    } catch (error) {
      if (onWait === undefined || !hasCode(error, 'CONTAINERD_UNREACHABLE')) throw error
      const waitMs = backoff.failed(error)
      onWait(error, waitMs)
      await pause(waitMs, signal)
    }
  }
}

async function isContainerdNode(stateDirectory: string = DEFAULT_STATE_DIRECTORY): Promise<boolean> {
  const joined = await joinedWith(join(stateDirectory, 'node.json'))
  return joined === undefined ? isContainerdInstalled() : joined === 'containerd'
}

/** The kind of backend that the node joined with; undefined where it has not joined, or where that cannot be read. */
async function joinedWith(path: string): Promise<unknown> {
  try {
    const kept: unknown = JSON.parse(await readFile(path, 'utf8'))
    return typeof kept === 'object' && kept !== null && 'backend' in kept ? kept.backend : undefined
  } catch (error) {
    // A damaged file, or one that this user may not read, is an error when the state is opened.
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error)) return undefined
    throw error
  }
}

function isContainerdInstalled(): boolean {
  if (existsSync('/etc/containerd/config.toml')) return true
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  return directories.some((directory) => directory !== '' && existsSync(join(directory, 'containerd')))
}
