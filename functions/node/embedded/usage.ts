/** What a directory takes on the disk. */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Usage } from '../ports.ts'

// The unit of st_blocks, whatever the file system's block size is.
const BLOCK_BYTES = 512
// After how many files other work of this process gets a turn.
const TURN = 512

/** The disk usage of a tree, its root included. An inode with several names counts once. */
export async function diskUsage(root: string): Promise<Usage> {
  const seen = new Set<string>()
  let size = 0
  let inodes = 0
  let turn = 0
  const pending = [root]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (++turn % TURN === 0) await setImmediate()
    const stat = lstatSync(path, { throwIfNoEntry: false })
    // Files may go away while an active snapshot is counted.
    if (stat === undefined) continue
    if (stat.isDirectory()) pending.push(...names(path).map((name) => join(path, name)))
    else if (stat.nlink > 1) {
      const inode = `${stat.dev}:${stat.ino}`
      if (seen.has(inode)) continue
      seen.add(inode)
    }
    size += stat.blocks * BLOCK_BYTES
    inodes++
  }
  return { size, inodes }
}

function names(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
