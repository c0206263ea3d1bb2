/**
 * Mounts for as long as a function runs, in a private directory. Each runner holds a lock on its directories, so that
 * the next one can tell those of a runner that was killed, and unmount and remove them.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { LayercastError } from '../errors.ts'
import { lockFile, waitForLock } from './file-lock.ts'
import type { FileLock } from './file-lock.ts'
import { errno } from './libc.ts'
import type { Mount } from './mount-list.ts'
import { mountResolved } from './mount-manager.ts'
import { mountDirectories } from './mount-places.ts'
import { detachAll } from './mount.ts'
import type { Unmount } from './mount.ts'

/** Where the mounts lie that the one at the root is made of. */
const BELOW = 'below'

export interface MountedOptions {
  /** Where the private directories are made; by default one under /run for root, under the temporary directory else. */
  directory?: string | undefined
}

/**
 * Mounts the list in a new private directory, runs `fn` with its path, and unmounts and removes it, whatever happens.
 * Errors: those of `fn` and of `mountResolved`; SYSTEM_CALL_FAILED when the unmounting fails, with both causes when `fn` did too.
 */
export async function withMounted<T>(
  mounts: readonly Mount[],
  fn: (directory: string) => Promise<T>,
  options: MountedOptions = {},
): Promise<T> {
  const base = options.directory ?? defaultDirectory()
  recoverMounts(base)
  const place = makePlace(base)
  let unmount: Unmount
  try {
    unmount = await mountResolved(mounts.map(withoutVolatile), place.root, join(place.path, BELOW))
  } catch (error) {
    dropPlace(base, place)
    throw error
  }
  const outcome = await fn(place.root).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  try {
    await unmount()
  } catch (error) {
    place.lock.release() // so that recoverMounts may take it
    if ('value' in outcome) throw error
    throw new LayercastError('SYSTEM_CALL_FAILED', `unmounting ${place.root} failed, after another error`, {
      cause: new AggregateError([outcome.error, error]),
      detail: { call: 'umount2', path: place.root },
    })
  }
  dropPlace(base, place)
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

/**
 * Unmounts and removes what killed runners left under `directory`. Gives the number of directories recovered.
 * Errors: SYSTEM_CALL_FAILED.
 */
export function recoverMounts(directory: string = defaultDirectory()): number {
  return locked(directory, () => {
    let count = 0
    for (const name of readdirSync(directory)) {
      if (name.startsWith('.')) continue
      const place = join(directory, name)
      const lock = lockFile(join(place, 'lock'))
      if (lock === undefined) continue
      try {
        detachAll(join(place, 'root'))
        removeEmpty(join(place, 'root'))
        detachBelow(join(place, BELOW))
        unlinkSync(join(place, 'lock'))
        rmdirSync(place)
        count++
      } finally {
        lock.release()
      }
    }
    return count
  })
}

interface Place {
  path: string
  root: string
  lock: FileLock
}

function makePlace(base: string): Place {
  return locked(base, () => {
    const path = join(base, randomBytes(9).toString('base64url').replace(/^[-_]/, '0'))
    mkdirSync(path, { mode: 0o700 })
    const lock = waitForLock(join(path, 'lock'))
    const root = join(path, 'root')
    mkdirSync(root, { mode: 0o700 })
    return { path, root, lock }
  })
}

// rmdir, never a recursive removal: were the unmount to have failed, that would empty the snapshot itself. And not while
// another looks for what killed runners left, who would meet a place that is half gone, and make its lock again.
function dropPlace(base: string, place: Place): void {
  try {
    locked(base, () => {
      removeEmpty(place.root)
      unlinkSync(join(place.path, 'lock'))
      rmdirSync(place.path)
    })
  } finally {
    place.lock.release()
  }
}

function detachBelow(path: string): void {
  if (!existsSync(path)) return
  for (const name of readdirSync(path)) {
    detachAll(join(path, name))
    rmdirSync(join(path, name))
  }
  rmdirSync(path)
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    // A runner killed between the two mkdir calls left no root.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

// Held only while synchronous calls run, so that no one waits long, and this process never for itself.
function locked<T>(base: string, fn: () => T): T {
  const lock = waitForLock(join(base, '.lock'))
  try {
    return fn()
  } finally {
    lock.release()
  }
}

function defaultDirectory(): string {
  const user = process.getuid?.() ?? 0
  const candidates = mountDirectories()
  let failure: unknown
  for (const path of candidates) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
    } catch (error) {
      failure = error
      continue
    }
    const stat = lstatSync(path)
    if (stat.isDirectory() && stat.uid === user && (stat.mode & 0o077) === 0) return path
    failure = new Error(`${path} is not a directory of this user alone`)
  }
  throw new LayercastError('SYSTEM_CALL_FAILED', `no private directory for mounts: ${candidates.join(', ')}`, {
    cause: failure,
    fix: `Remove ${candidates.at(-1) ?? ''} if it is not yours, or set TMPDIR.`,
    detail: { call: 'mkdir', errno: errnoOf(failure), path: candidates.at(-1) ?? '' },
  })
}

function errnoOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code ?? errno.EACCES)
}

// An overlay once mounted `volatile` cannot be mounted again, and this mount is not the last.
function withoutVolatile(mount: Mount): Mount {
  if (mount.type !== 'overlay') return mount
  const options = mount.options.filter((option) => option !== 'volatile' && option !== 'fsync=volatile')
  return { ...mount, options }
}
