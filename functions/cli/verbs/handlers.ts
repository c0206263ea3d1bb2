/** Runtime handlers in place of a snapshotter: what the verbs share that take either. */
import { LayercastError } from '../../errors.ts'
import type { ContainerdBackend } from '../../node/containerd/backend.ts'
import type { Context } from '../program/context.ts'

/** The options by which a user says under which snapshotters. */
export interface SnapshotterOptions {
  snapshotter?: string | undefined
  runtimeHandler: readonly string[]
  /** Undefined for a verb that takes one snapshotter only. */
  allHandlers?: boolean
  containerdConfig?: string | undefined
}

/**
 * One snapshotter, or the handlers whose snapshotters are wanted; an option beats the environment's snapshotter.
 * @throws LayercastError USAGE unless exactly one of the three is given
 */
export function chooseSnapshotter(
  context: Context,
  options: SnapshotterOptions,
): { snapshotter: string } | { handlers: readonly string[] | 'all' } {
  const { snapshotter, runtimeHandler, allHandlers, containerdConfig } = options
  const byHandler = runtimeHandler.length > 0 || allHandlers === true
  if (runtimeHandler.length > 0 && allHandlers === true) {
    throw usage('--runtime-handler and --all-handlers are given', 'Give one of them.')
  }
  if (byHandler && snapshotter !== undefined && snapshotter !== context.env['CONTAINERD_SNAPSHOTTER']) {
    throw usage('--snapshotter is given, and runtime handlers too', 'Give the one or the other.')
  }
  if (byHandler) return { handlers: allHandlers === true ? 'all' : runtimeHandler }
  if (containerdConfig !== undefined) {
    throw usage(
      '--containerd-config is given, and no runtime handlers',
      'Give --runtime-handler or --all-handlers too.',
    )
  }
  if (snapshotter !== undefined) return { snapshotter }
  throw usage(
    `none of --snapshotter, ${allHandlers === undefined ? '--runtime-handler' : '--runtime-handler, --all-handlers'} is given`,
    'Give --snapshotter NAME or --runtime-handler NAME, or set CONTAINERD_SNAPSHOTTER.',
  )
}

/**
 * The containerd that runtime handlers belong to, in CRI's namespace unless the user names another.
 * @throws LayercastError USAGE where the user names the embedded backend; CONTAINERD_UNREACHABLE
 */
export async function containerdOf(context: Context, namespace?: string): Promise<ContainerdBackend> {
  const { backend: kind, root } = context.globals
  if (kind === 'embedded' || root !== undefined) {
    throw usage(
      `${kind === 'embedded' ? '--backend embedded' : '--root'} is given where only containerd will do`,
      "Leave it away, and name containerd's socket with --address where it is not in its usual place.",
    )
  }
  const backend = await context.backend({ backend: 'containerd', ...(namespace !== undefined && { namespace }) })
  // The kind is what was asked for just now.
  return backend as ContainerdBackend
}

/**
 * The one snapshotter that a verb is to go by, named or by a runtime handler; what the configuration has to do with it is
 * told on stderr. It need not be ready.
 * @throws LayercastError USAGE; as `resolveHandlers`
 */
export async function oneSnapshotter(
  context: Context,
  options: {
    snapshotter?: string | undefined
    runtimeHandler?: string | undefined
    containerdConfig?: string | undefined
  },
): Promise<string> {
  const { runtimeHandler, containerdConfig } = options
  const chosen = chooseSnapshotter(context, {
    ...options,
    runtimeHandler: runtimeHandler === undefined ? [] : [runtimeHandler],
  })
  if ('snapshotter' in chosen) return chosen.snapshotter
  const { CRI_NAMESPACE, resolveHandlers } = await import('../../runner/runtime-handlers/targets.ts')
  const { targets } = await resolveHandlers(await containerdOf(context, CRI_NAMESPACE), {
    handlers: chosen.handlers,
    ...(containerdConfig !== undefined && { configPath: containerdConfig }),
  })
  const [target] = targets
  if (target === undefined) throw new LayercastError('INTERNAL', 'a handler was found, and no snapshotter')
  for (const { code, detail } of target.warnings) context.note(`layercast: ${detail} (${code})`)
  return target.snapshotter
}

function usage(message: string, fix: string): LayercastError {
  return new LayercastError('USAGE', message, { fix })
}
