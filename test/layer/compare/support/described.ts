/** What layers, given as tar entries, describe, and how a directory differs from it. */
import { gzipSync } from 'node:zlib'
import { describeLayer } from '../../../../functions/layer/compare/describe-layer.ts'
import { DescribedTree } from '../../../../functions/layer/compare/described-tree.ts'
import { TreeComparison, type TreeDifference } from '../../../../functions/layer/compare/tree-comparison.ts'
import { walk } from '../../../../functions/linux/walk.ts'
import type { PlanLayer } from '../../../../functions/plan/document.ts'
import type { TarEntry } from '../../../support/images/entries.ts'
import { describe, digestOf, MEDIA_TYPES } from '../../../support/images/image.ts'
import { writeTar } from '../../../support/images/tar.ts'

/** What the layers describe; files are hashed. */
export async function treeOf(layers: readonly (readonly TarEntry[])[]): Promise<DescribedTree> {
  const tree = new DescribedTree({ contents: true })
  for (const entries of layers) await describeEntries(tree, entries)
  return tree
}

export async function describeEntries(
  tree: DescribedTree,
  entries: readonly TarEntry[],
  hides: readonly string[] = [],
): Promise<void> {
  const tar = writeTar(entries)
  const blob = gzipSync(tar)
  const layer = { descriptor: describe(blob, MEDIA_TYPES.oci.layer.gzip), diffID: digestOf(tar) }
  await describeLayer(tree, layer as PlanLayer, { source: once(blob), hides })
}

/** How a directory differs from what layers describe. */
export function differences(tree: DescribedTree, directory: string): { found: TreeDifference[]; unsure: string[] } {
  const comparison = new TreeComparison(tree.root, { contents: true })
  const found: TreeDifference[] = []
  for (const entry of walk(directory, { contents: true })) found.push(...comparison.entry(entry))
  found.push(...comparison.finish())
  return { found, unsure: comparison.unsure.map(({ path }) => path) }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
