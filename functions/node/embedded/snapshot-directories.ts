/** Makes the directories of a snapshot. */
import { chmodSync, existsSync, lchownSync, mkdirSync, statSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { contentPath, snapshotPath, workPath, type Layout } from './layout.ts'
import { isSnapshotDirectory } from './sweep.ts'
import { moveToTrash } from './trash.ts'

/**
 * Makes the directories of a new snapshot. Called in the transaction that inserts its row. The root directory of the content gets the
 * mode and owner of the parent's, because an overlay shows those of the uppermost layer.
 */
export function makeSnapshotDirectories(
  layout: Layout,
  id: number,
  kind: 'active' | 'view',
  parent: number | undefined,
): void {
  const path = snapshotPath(layout, id)
  // A number is used again after its transaction was rolled back, and its directory may still be there.
  if (existsSync(path) && !isSnapshotDirectory(path)) throw inTheWay(path)
  moveToTrash(layout, path)
  mkdirSync(path, { mode: 0o700 })
  try {
    const content = contentPath(layout, id)
    mkdirSync(content)
    const below = parent === undefined ? { mode: 0o755 } : statSync(contentPath(layout, parent))
    // Not in mkdir, where the umask would clear bits.
    chmodSync(content, below.mode & 0o7777)
    if ('uid' in below) copyOwner(content, below)
    if (kind === 'active') mkdirSync(workPath(layout, id), { mode: 0o711 })
  } catch (error) {
    moveToTrash(layout, path)
    throw error
  }
}

function inTheWay(path: string): LayercastError {
  return new LayercastError('FAILED_PRECONDITION', `${path} is in the way, and layercast did not make it`, {
    fix: 'Move it to another place, and run the same command again.',
    detail: { path },
  })
}

function copyOwner(path: string, owner: { uid: number; gid: number }): void {
  const { uid, gid } = statSync(path)
  // An unprivileged process may not call it even where it changes nothing.
  if (uid !== owner.uid || gid !== owner.gid) lchownSync(path, owner.uid, owner.gid)
}
