/** A walk through a directory. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** All names below a directory, relative to it. Does not follow symbolic links, as `readdir` with `recursive` does. */
export async function walk(root: string, below = ''): Promise<string[]> {
  const names: string[] = []
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const name = join(below, entry.name)
    names.push(name)
    if (entry.isDirectory()) names.push(...(await walk(root, name)))
  }
  return names
}
