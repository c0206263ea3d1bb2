/** Making directories, with an error that names the one that is in the way. */
import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a directory and those above it that are missing, as mkdir with `recursive` does, which never returns where a file
 * system answers ENOENT to mkdir itself, as /proc does.
 * @param mode of those that are made
 */
export function makeDirectory(path: string, mode: number): void {
  const missing: string[] = []
  let at = resolve(path)
  while (statSync(at, { throwIfNoEntry: false }) === undefined) {
    missing.push(at)
    at = dirname(at)
  }
  // Also where nothing is missing: what is there may be no directory.
  for (const directory of missing.length > 0 ? missing.toReversed() : [at]) makeOne(directory, mode)
}

function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    // Another process may make the same.
    const there = statSync(path, { throwIfNoEntry: false })
    if (there?.isDirectory() !== true) throw error
  }
}
