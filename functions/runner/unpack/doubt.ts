/** What is said of layers that containerd's diff service wrote, where it does not write what they describe. */
import type { Plan } from '../../plan/document.ts'
import type { Reliance } from '../tree/reliance.ts'
import type { View } from './applier.ts'
import type { LayerContext } from './context.ts'
import { hasBlob } from './supply.ts'

/** What a layer asks of those below it that containerd does not see to, by how it sees them. */
const UNSEEN: Readonly<Record<View, ReadonlySet<Reliance>>> = {
  'not at all': new Set(['link', 'hard link', 'opaque root', 'deleted']),
  merged: new Set(['deleted', 'attributes']),
}
const WHAT: Readonly<Record<Reliance, string>> = {
  link: 'goes through a symbolic link of a layer below, and hides it instead',
  'hard link': 'links to a file of a layer below',
  'opaque root': 'hides all of the layers below, and hides nothing',
  deleted: 'has a whiteout within a deleted directory, which comes back empty',
  attributes: 'takes attributes away from a directory, which keeps them',
}

/**
 * TREE_WRONG where one of these layers relies on those below it in a way that containerd's diff service gets wrong;
 * TREE_UNCHECKED where the blob of a layer is not here, so that this cannot be told. Reads the blobs of the layers, and
 * nothing of the snapshots, which may not be seen from here. LAYER_*, DIGEST_MISMATCH, DIFF_ID_MISMATCH, ABORTED.
 * @param written the indices of the layers that containerd wrote
 */
export async function warnOfWrongTrees(
  { backend, signal, emit }: Pick<LayerContext, 'backend' | 'signal' | 'emit'>,
  plan: Plan,
  written: ReadonlySet<number>,
  view: View,
): Promise<void> {
  const highest = Math.max(0, ...written)
  if (highest === 0) return
  const [{ Fold }, { foldLayer }] = await Promise.all([import('../tree/fold.ts'), import('../tree/expected.ts')])
  let at = 0
  const wrong = new Map<number, { kind: Reliance; path: string; more: number }>()
  const fold = new Fold({
    contents: false,
    onReliance: (kind, path) => {
      if (!written.has(at) || !UNSEEN[view].has(kind)) return
      const known = wrong.get(at)
      if (known === undefined) wrong.set(at, { kind, path, more: 0 })
      else known.more++
    },
  })
  for (const layer of plan.layers.slice(0, highest + 1)) {
    const { digest } = layer.descriptor
    if (!(await hasBlob(backend, digest))) {
      const detail = `blob ${digest} of layer ${at + 1} is not here, so that it cannot be told whether containerd's diff service wrote the layers above it as they are described`
      emit({ type: 'warning', code: 'TREE_UNCHECKED', detail })
      break
    }
    await foldLayer(fold, layer, { source: backend.content.read(digest), signal })
    at++
  }
  for (const [index, { kind, path, more }] of wrong) {
    const others = more === 0 ? '' : `, and ${more} more entries like it`
    const detail = `layer ${index + 1} at ${JSON.stringify(path)} ${WHAT[kind]}${others}: containerd's diff service wrote another tree than the layers describe. Run 'layercast repair --deep', without --applier containerd, where containerd's snapshots can be seen.`
    emit({ type: 'warning', code: 'TREE_WRONG', detail })
  }
}
