/** Active snapshots in which unpackers make layers, or made them until they were stopped. */
import { LABEL } from '../../image/label-names.ts'
import type { SnapshotInfo } from '../../node/ports.ts'
import { chainIDOfExtractKey } from '../operation/snapshot-keys.ts'

/**
 * Whether an unpacker makes a layer of this chain in the snapshot: by the key that containerd's and layercast's unpackers give it, or
 * by the label that names the chain ID that it is to become.
 */
export function isLeftover(info: SnapshotInfo, chainIDs: ReadonlySet<string>): boolean {
  if (info.kind !== 'active' || chainIDs.has(info.name)) return false
  return chainIDs.has(info.labels[LABEL.snapshotRef] ?? '') || chainIDs.has(chainIDOfExtractKey(info.name) ?? '')
}
