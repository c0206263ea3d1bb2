/** Layers as tar entries, folded, and compared with a directory. */
import { gzipSync } from 'node:zlib'
import { TreeComparison, type TreeDifference } from '../../../../functions/layer/compare/compare.ts'
import { foldLayer } from '../../../../functions/layer/compare/expected.ts'
import { Fold } from '../../../../functions/layer/compare/fold.ts'
import { walk } from '../../../../functions/linux/walk.ts'
import type { PlanLayer } from '../../../../functions/plan/document.ts'
import type { TarEntry } from '../../../support/images/entries.ts'
import { describe, digestOf, MEDIA_TYPES } from '../../../support/images/image.ts'
import { writeTar } from '../../../support/images/tar.ts'

/** What the layers describe; files are hashed. */
export async function foldOf(layers: readonly (readonly TarEntry[])[]): Promise<Fold> {
  const fold = new Fold({ contents: true })
  for (const entries of layers) await foldEntries(fold, entries)
  return fold
}

export async function foldEntries(
  fold: Fold,
  entries: readonly TarEntry[],
  hides: readonly string[] = [],
): Promise<void> {
  const tar = writeTar(entries)
  const blob = gzipSync(tar)
  const layer = { descriptor: describe(blob, MEDIA_TYPES.oci.layer.gzip), diffID: digestOf(tar) }
  await foldLayer(fold, layer as PlanLayer, { source: once(blob), hides })
}

/** How a directory differs from what was folded. */
export function differences(fold: Fold, directory: string): { found: TreeDifference[]; unsure: string[] } {
  const comparison = new TreeComparison(fold.root, { contents: true })
  const found: TreeDifference[] = []
  for (const entry of walk(directory, { contents: true })) found.push(...comparison.entry(entry))
  found.push(...comparison.finish())
  return { found, unsure: comparison.unsure.map(({ path }) => path) }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
