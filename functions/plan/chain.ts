/** Chain IDs: the names of the snapshots that an image unpacks to. */
import { chainIDs } from '../../core-wasm/core.ts'
import type { Digest } from '../image/digest.ts'

/**
 * The chain IDs of a stack of diff IDs, bottom first (image-spec 1.1, "Layer ChainID"): the first is the first diff ID
 * itself, each further one the sha256 of the one below, a space, and its diff ID.
 */
export function chainOf(diffIDs: readonly Digest[]): Digest[] {
  const [chain = []] = chainIDs([diffIDs])
  return chain as Digest[]
}
