import { chmodSync, existsSync, lchownSync, mkdirSync, statSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { contentPath, snapshotPath, workPath, type Layout } from './layout.ts'
import { discard, isSnapshotDirectory } from './sweep.ts'

/**
 * Makes the directories of a new snapshot. Called under the write lock, inside the transaction that makes its row. The
 * root directory of the layer looks as that of the layer below does, since an overlay shows the uppermost one's.
 */
export function makeSnapshotDirectories(
  layout: Layout,
  id: number,
  kind: 'active' | 'view',
  parent: number | undefined,
): void {
  const path = snapshotPath(layout, id)
  // A number whose transaction was rolled back is given again, and its directory may still be there.
  if (existsSync(path) && !isSnapshotDirectory(path)) throw inTheWay(path)
  discard(layout, path)
  mkdirSync(path, { mode: 0o700 })
  try {
    const content = contentPath(layout, id)
    mkdirSync(content)
    const below = parent === undefined ? { mode: 0o755 } : statSync(contentPath(layout, parent))
    // After the creation, because the umask takes bits away then.
    chmodSync(content, below.mode & 0o7777)
    if ('uid' in below) copyOwner(content, below)
    if (kind === 'active') mkdirSync(workPath(layout, id), { mode: 0o711 })
  } catch (error) {
    discard(layout, path)
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
  // Without privileges this changes nothing and is refused all the same.
  if (uid !== owner.uid || gid !== owner.gid) lchownSync(path, owner.uid, owner.gid)
}
