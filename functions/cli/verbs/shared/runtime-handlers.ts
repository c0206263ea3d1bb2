/** The snapshotter by which a verb goes: named itself, or by runtime handlers that use it. */

import { LayercastError } from '../../../errors.ts'
import { CRI_NAMESPACE } from '../../../node/cri-namespace.ts'
import type { Backend } from '../../../node/ports.ts'
import type { Context } from '../../program/context.ts'
import { usage } from '../../program/usage.ts'

interface SnapshotterOptions {
  snapshotter?: string | undefined
  runtimeHandler: readonly string[]
  /** Absent for a verb that takes one snapshotter only. */
  allHandlers?: boolean
  containerdConfig?: string | undefined
}

/**
 * One snapshotter, or the runtime handlers whose snapshotters are wanted. Handlers that are given take precedence over the
 * snapshotter in CONTAINERD_SNAPSHOTTER.
 *
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
 * The containerd whose runtime handlers are meant.
 *
 * @param namespace the namespace unless the user names one
 * @throws LayercastError USAGE where the user names the embedded backend; CONTAINERD_UNREACHABLE
 */
export async function containerdOf(context: Context, namespace?: string): Promise<Backend> {
  const { backend: kind, root } = context.globals
  if (kind === 'embedded' || root !== undefined) {
    throw usage(
      `${kind === 'embedded' ? '--backend embedded' : '--root'} is given where only containerd will do`,
      "Leave it away, and name containerd's socket with --address where it is not in its usual place.",
    )
  }
  return await context.backend({ backend: 'containerd', namespace })
}

/**
 * The one snapshotter by which a verb goes. It need not be ready. Warnings about a runtime handler's configuration go to
 * stderr.
 *
 * @throws LayercastError USAGE; as `resolveRuntimeHandlers`
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
  const { resolveRuntimeHandlers } = await import('../../../runner/runtime-handlers/targets.ts')
  const { targets } = await resolveRuntimeHandlers(await containerdOf(context, CRI_NAMESPACE), {
    handlers: chosen.handlers,
    configPath: containerdConfig,
  })
  const [target] = targets
  if (target === undefined) throw new LayercastError('INTERNAL', 'a handler was found, and no snapshotter')
  for (const { code, detail } of target.warnings) context.note(`layercast: ${detail} (${code})`)
  return target.snapshotter
}
