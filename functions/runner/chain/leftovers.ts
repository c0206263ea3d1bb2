import { LABEL } from '../../image/label-names.ts'
import type { SnapshotInfo } from '../../node/ports.ts'

const EXTRACT = 'extract-'

/**
 * Whether an active snapshot is one in which an unpacker makes, or made before it was stopped, a layer of this chain: by
 * the key that containerd's and layercast's unpackers give it, or by the label that says what it is to become.
 */
export function isLeftover(info: SnapshotInfo, chainIDs: ReadonlySet<string>): boolean {
  if (info.kind !== 'active' || chainIDs.has(info.name)) return false
  if (chainIDs.has(info.labels[LABEL.snapshotRef] ?? '')) return true
  if (!info.name.startsWith(EXTRACT)) return false
  return chainIDs.has(info.name.slice(info.name.indexOf(' ') + 1))
}
