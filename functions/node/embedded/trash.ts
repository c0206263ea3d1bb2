/** Removes trees in two steps: a rename out of sight, which happens or does not, and the deletion, which may take long. */
import { randomBytes } from 'node:crypto'
import { renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout } from './layout.ts'

/**
 * Moves a path into the trash.
 * @returns its place there, for `removeTrash`; undefined where there was nothing at the path
 */
export function moveToTrash(layout: Layout, path: string): string | undefined {
  const place = join(layout.trash, randomBytes(12).toString('base64url'))
  try {
    renameSync(path, place)
    return place
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Whether an entry of the trash has a name that `moveToTrash` gives. */
export function isTrashName(name: string): boolean {
  return /^[\w-]{16}$/.test(name)
}

/** Deletes what `moveToTrash` moved away. */
export async function removeTrash(place: string | undefined): Promise<void> {
  // Another process may delete the same tree: a directory can be gone, or not empty yet.
  if (place !== undefined) await rm(place, { recursive: true, force: true, maxRetries: 5 })
}
