/** The snapshotter port for a snapshotter that the embedded backend does not have. */
import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'
import type { Snapshotter } from '../ports.ts'

/** A snapshotter each of whose calls fails with SNAPSHOTTER_NOT_FOUND. */
export function absentSnapshotter(name: string, known: readonly string[]): Snapshotter {
  const refuse = async (): Promise<never> => {
    throw new LayercastError(
      'SNAPSHOTTER_NOT_FOUND',
      `the embedded backend has no snapshotter ${quote(name)}; it has ${known.join(', ')}`,
      {
        fix: `Give --snapshotter ${known[0]}, or --backend containerd where a containerd with ${name} runs.`,
        detail: { snapshotter: name, known },
      },
    )
  }
  return {
    name,
    capabilities: refuse,
    prepare: refuse,
    view: refuse,
    commit: refuse,
    stat: refuse,
    update: refuse,
    remove: refuse,
    // eslint-disable-next-line require-yield
    async *list(): AsyncGenerator<never> {
      await refuse()
    },
    mounts: refuse,
    usage: refuse,
  }
}
