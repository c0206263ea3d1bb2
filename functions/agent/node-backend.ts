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
  /** Opens the backend: this kind, or what the user named and else what there is. */
  open: (kind: 'containerd' | undefined) => Promise<Backend>
  /** Whether the user named a backend, a root or an address. */
  named: boolean
  stateDirectory?: string | undefined
  signal: AbortSignal
  /** Told why it waits, and for how long. Without it nothing is waited for. */
  onWait?: ((error: unknown, waitMs: number) => void) | undefined
}

/**
 * The backend of an agent, which is started with the machine and may be there before containerd is. Where nothing is named, a
 * node that joined with containerd stays one, and a machine on which containerd is installed is taken to be one: it is waited
 * for. Only a machine without it is a node of the embedded backend. ABORTED, and what `open` throws.
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

/** What the node's backend was when it joined; undefined where it has not, or where that cannot be read from here. */
async function joinedWith(path: string): Promise<unknown> {
  try {
    const kept: unknown = JSON.parse(await readFile(path, 'utf8'))
    return typeof kept === 'object' && kept !== null && 'backend' in kept ? kept.backend : undefined
  } catch (error) {
    // A file that is damaged, or that this user may not read, is told where the state is opened.
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error)) return undefined
    throw error
  }
}

function isContainerdInstalled(): boolean {
  if (existsSync('/etc/containerd/config.toml')) return true
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  return directories.some((directory) => directory !== '' && existsSync(join(directory, 'containerd')))
}
