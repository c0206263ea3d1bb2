/** Reads an image's layers, one by one, into the tree that they describe. */
import { LayercastError } from '../../errors.ts'
import { SUSPECT_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { readLayer } from '../read/layer.ts'
import type { DescribedTree } from './described-tree.ts'

/** What a plan says of a layer, as far as reading it needs. */
type Layer = { descriptor: Descriptor; diffID: Digest }

export interface DescribeOptions {
  /** The blob of the layer, in chunks. */
  source: AsyncIterable<Uint8Array>
  /** Names in the layer's root that its snapshotter does not show. */
  hides?: readonly string[] | undefined
  signal?: AbortSignal | undefined
}

/**
 * Reads the next layer, from the base up, and adds to the tree what it says. Nothing of it is kept but the tree.
 * Errors: LAYER_*, DIGEST_MISMATCH, DIFF_ID_MISMATCH, ABORTED, those of the source.
 */
export async function describeLayer(
  tree: DescribedTree,
  { descriptor, diffID }: Layer,
  { source, hides, signal }: DescribeOptions,
): Promise<void> {
  tree.nextLayer(hides)
  const { diffID: actual } = await readLayer(descriptor, source, tree, { signal })
  if (actual === diffID) return
  throw new LayercastError(
    'DIFF_ID_MISMATCH',
    `layer ${descriptor.digest} uncompresses to ${actual}, and the image's config says ${diffID}`,
    { fix: SUSPECT_FIX, detail: { layer: descriptor.digest, expected: diffID, actual } },
  )
}
