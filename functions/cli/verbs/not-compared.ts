import { LayercastError } from '../../errors.ts'
import type { TreeReport } from '../../runner/verify/compare-tree.ts'
import { count } from '../program/text.ts'

/** What was looked at is right, and not all could be looked at: that is neither a yes nor a no. */
export function notCompared(trees: readonly Pick<TreeReport, 'notCompared'>[]): LayercastError {
  const layers = trees.flatMap((tree) => tree.notCompared)
  const missing = layers.filter(({ why }) => why === 'blob missing').map(({ digest }) => digest)
  const digests = [...new Set(missing)]
  return new LayercastError(
    'BLOB_NOT_FOUND',
    `the tree of ${count(layers.length, 'layer')} could not be compared: ${layers[0]?.why ?? ''} (${digests.join(', ') || layers[0]?.digest})`,
    { fix: 'Bring the blobs back: pull the image again, or import it.', detail: { digests } },
  )
}
