/** The names below a directory. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** All names below a directory, relative to it. Unlike `readdir` with `recursive`, it does not follow symbolic links. */
export async function namesBelow(root: string, below = ''): Promise<string[]> {
  const names: string[] = []
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const name = join(below, entry.name)
    names.push(name)
    if (entry.isDirectory()) names.push(...(await namesBelow(root, name)))
  }
  return names
}
