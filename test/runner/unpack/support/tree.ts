import { createHash } from 'node:crypto'
import { readdir, readFile, readlink, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { withMounted } from '../../../../functions/linux/mounted.ts'
import type { Backend } from '../../../../functions/node/ports.ts'

/** Every path of the tree that a committed snapshot shows: kind, mode, owner, time, size, link target, content. */
export async function treeOf(backend: Backend, snapshotter: string, chainID: string): Promise<Record<string, string>> {
  const key = `tree-${process.pid}-${Date.now()}-${chainID}`
  const port = backend.snapshotter(snapshotter)
  const lease = await backend.leases.create()
  const leased = backend.withLease(lease.id).snapshotter(snapshotter)
  try {
    return await withMounted(await leased.view(key, chainID, {}), (directory) => walk(directory))
  } finally {
    await port.remove(key)
    await backend.leases.delete(lease.id)
  }
}

async function walk(root: string, path = '', tree: Record<string, string> = {}): Promise<Record<string, string>> {
  for (const name of (await readdir(join(root, path))).sort()) {
    const at = join(path, name)
    const info = await lstat(join(root, at))
    const facts = [info.mode.toString(8), info.uid, info.gid, info.isDirectory() ? '' : info.size, info.mtimeMs]
    if (info.isSymbolicLink()) facts.push(await readlink(join(root, at)))
    if (info.isFile())
      facts.push(
        info.nlink,
        createHash('sha256')
          .update(await readFile(join(root, at)))
          .digest('hex'),
      )
    tree[at] = facts.join(' ')
    if (info.isDirectory()) await walk(root, at, tree)
  }
  return tree
}
