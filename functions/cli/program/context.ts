/** What a verb has at hand while it runs: its options, streams, signal, and the backend of the node. */

import { existsSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'
import type { Backend } from '../../node/ports.ts'
import { isIdentifier } from '../../plan/profiles.ts'
import { write, type Streams } from './console.ts'
import type { GlobalValues } from './globals.ts'
import { printable } from './text.ts'

/** The backend and the namespace that a verb takes where the user names none. */
export interface UnnamedPlace {
  backend?: Backend['kind'] | undefined
  namespace?: string | undefined
}

export interface Context {
  readonly globals: GlobalValues
  /** Whether output is JSON (`-o json`). */
  readonly json: boolean
  /** As `Verb.makesPlace`. */
  readonly makesPlace: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: AsyncIterable<Uint8Array>
  readonly streams: Streams
  /** Aborted at the first signal, when the time of --timeout is up, and when nobody reads the output any more. */
  readonly signal: AbortSignal
  /** Writes data to stdout: the value under `-o json`, else the text. */
  show(value: unknown, text: () => string): Promise<void>
  /** Writes a line for the user to stderr. */
  note(line: string): void
  /** Writes a line to stderr under `--verbose`. */
  detail(line: string): void
  /**
   * The node's backend, opened at the first call and closed when the verb ends. Errors as `openBackend`; USAGE for a namespace
   * that is none, or that the backend does not have.
   *
   * @param unnamed used at the first call only
   */
  backend(unnamed?: UnnamedPlace): Promise<Backend>
  /** Registers what runs when the verb ends, also after an error. Runs in the reverse of the order of registration. */
  defer(cleanup: () => Promise<void>): void
}

/**
 * A context, and the function that ends it.
 *
 * @throws LayercastError INTERNAL, from `close`, where a registered clean-up failed
 */
export function createContext(options: {
  globals: GlobalValues
  env: Readonly<Record<string, string | undefined>>
  streams: Streams
  stdin: AsyncIterable<Uint8Array>
  makesPlace: boolean
  signal: AbortSignal
}): { context: Context; close(): Promise<void> } {
  const { globals, streams } = options
  const json = globals.output === 'json'
  const cleanups: (() => Promise<void>)[] = []
  let backend: Promise<Backend> | undefined

  const context: Context = {
    ...options,
    json,
    show: (value, text) => write(streams.stdout, json ? `${JSON.stringify(value, null, 2)}\n` : text()),
    note: (line) => void streams.stderr.write(`${printable(line)}\n`),
    detail: (line) => {
      if (globals.verbose) context.note(line)
    },
    backend: (unnamed = {}) =>
      (backend ??= openBackendOf(context, unnamed).catch((error: unknown) => {
        // It may be there at the next call.
        backend = undefined
        throw error
      })),
    defer: (cleanup) => void cleanups.push(cleanup),
  }
  return {
    context,
    close: async () => {
      const failures: unknown[] = []
      for (const cleanup of cleanups.toReversed()) await cleanup().catch((error: unknown) => failures.push(error))
      if (failures.length > 0) {
        throw new LayercastError('INTERNAL', 'could not clean up at the end', {
          cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
        })
      }
    },
  }
}

async function openBackendOf(context: Context, unnamed: UnnamedPlace): Promise<Backend> {
  const { root, address } = context.globals
  const kind = context.globals.backend ?? unnamed.backend
  const namespace = context.globals.namespace ?? (context.env['CONTAINERD_NAMESPACE'] || unnamed.namespace)
  checkNamespace(namespace)
  const { openBackend, unfit } = await import('../../node/open.ts')
  const backend = await openBackend({
    backend: kind,
    root,
    address,
    namespace,
    signal: context.signal,
    onSilence: (doing, seconds) =>
      context.note(`layercast: containerd has not answered for ${seconds} s (to ${doing}); still waiting`),
  })
  context.defer(() => backend.close())
  context.detail(`backend: ${backend.kind} ${await backend.version()}`)
  if (backend.namespace === undefined && context.globals.namespace !== undefined) {
    throw unfit(`a namespace (${context.globals.namespace})`, backend.kind, '--namespace')
  }
  await notePlaceIsNew(context, backend)
  return backend
}

/** Namespaces follow containerd's rule for identifiers. USAGE otherwise. */
function checkNamespace(namespace: string | undefined): void {
  if (namespace === undefined || isIdentifier(namespace)) return
  throw new LayercastError('USAGE', `${quote(namespace)} is not a namespace's name`, {
    fix: 'Use letters and digits with single ".", "_" or "-" between them, 76 characters at most, such as k8s.io.',
    detail: { namespace: namespace.slice(0, 256) },
  })
}

/** Notes that a root or a namespace which the user named does not exist: the name may be mistyped. */
async function notePlaceIsNew(context: Context, backend: Backend): Promise<void> {
  const { root } = context.globals
  // Under -o json stderr has errors only.
  if (context.json || context.makesPlace) return
  if (root !== undefined && !existsSync(root)) context.note(`note: ${root} is not there yet`)
  if (!context.globals.namespace && !context.env['CONTAINERD_NAMESPACE']) return
  const known = await backend.namespaces?.()
  if (known === undefined || backend.namespace === undefined || known.includes(backend.namespace)) return
  const others = known.length > 0 ? `: it has ${known.join(', ')}` : ''
  context.note(`note: containerd has no namespace ${backend.namespace} yet${others}`)
}
