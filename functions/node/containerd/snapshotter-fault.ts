/** Why a snapshotter of the daemon's cannot be used. */
import { LayercastError } from '../../errors.ts'
import type { SnapshotterPlugin } from '../ports.ts'

/**
 * Why a snapshotter cannot be used: SNAPSHOTTER_NOT_FOUND with the names that there are, or SNAPSHOTTER_NOT_READY with the daemon's
 * words; undefined where it can be used.
 * @param plugins all snapshotters that the daemon lists
 * @param options.who who needs the snapshotter, for the beginning of the message
 */
export function snapshotterFault(
  snapshotter: string,
  plugins: readonly SnapshotterPlugin[],
  options: { who?: string; cause?: unknown } = {},
): LayercastError | undefined {
  const plugin = plugins.find(({ name }) => name === snapshotter)
  const who = options.who === undefined ? '' : `${options.who}: `
  const rest = { detail: { snapshotter }, cause: options.cause }
  if (plugin === undefined) {
    const ready = plugins.filter(({ error }) => error === undefined).map(({ name }) => name)
    return new LayercastError(
      'SNAPSHOTTER_NOT_FOUND',
      `${who}containerd has no snapshotter ${snapshotter}; ready are ${ready.join(', ') || 'none'}`,
      {
        ...rest,
        fix: `Name one of those, or add [proxy_plugins.${snapshotter}] with its socket to containerd's configuration and restart it.`,
      },
    )
  }
  if (plugin.error === undefined) return undefined
  return new LayercastError('SNAPSHOTTER_NOT_READY', `${who}snapshotter ${snapshotter} is not ready: ${plugin.error}`, {
    ...rest,
    fix: 'Mend what containerd says of it and restart containerd.',
  })
}
