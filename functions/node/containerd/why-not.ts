import { LayercastError } from '../../errors.ts'
import type { SnapshotterPlugin } from '../ports.ts'

/**
 * Why a snapshotter cannot be used, by what the daemon lists: SNAPSHOTTER_NOT_FOUND with those that it has,
 * SNAPSHOTTER_NOT_READY with its own words; undefined where it can.
 * @param plugins all that it lists
 * @param who of whom it is wanted, before the sentence
 */
export function whyNot(
  snapshotter: string,
  plugins: readonly SnapshotterPlugin[],
  options: { who?: string; cause?: unknown } = {},
): LayercastError | undefined {
  const plugin = plugins.find(({ name }) => name === snapshotter)
  const who = options.who === undefined ? '' : `${options.who}: `
  const rest = { detail: { snapshotter }, ...(options.cause === undefined ? {} : { cause: options.cause }) }
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
