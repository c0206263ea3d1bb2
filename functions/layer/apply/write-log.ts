/** What a layer has written so far, and the times that directories are to have in the end. Paths are byte strings. */
import { closeSync } from 'node:fs'
import { statAt, utimes } from '../../linux/at.ts'
import type { Time } from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { must, systemError } from '../../linux/libc.ts'
import { joinPath } from './directories.ts'
import type { Directory } from './directories.ts'

interface Times {
  atime: Time
  mtime: Time
}

export class WriteLog {
  readonly #reopen: (path: string) => number
  // What the layer wrote, and every directory above it: whiteouts are of the layers below, and hide none of these.
  readonly #written = new Set<string>()
  // Undefined for directories that no entry names and the layers below do not have: they keep the time at which they were made.
  readonly #times = new Map<string, Times | undefined>()

  constructor(reopen: (path: string) => number) {
    this.#reopen = reopen
  }

  /** Whether the layer wrote what is at the path, or something below it. */
  has(path: string): boolean {
    return this.#written.has(path)
  }

  wrote(parent: string, name: string): void {
    this.#written.add(joinPath(parent, name))
    for (
      let path = parent;
      path !== '' && !this.#written.has(path);
      path = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    ) {
      this.#written.add(path)
    }
  }

  /** A directory was made that no entry names so far, for an entry in it. */
  made(path: string): void {
    this.#times.set(path, undefined)
  }

  /** To be called before the content of a directory changes: its own times are kept. SYSTEM_CALL_FAILED. */
  keepTimes(directory: Directory): void {
    if (this.#times.has(directory.path)) return
    const stat = statAt(directory.fd, '')
    if (typeof stat === 'number') throw systemError('statx', stat, fromByteString(directory.path))
    this.#times.set(directory.path, { atime: stat.atime, mtime: stat.mtime })
  }

  setTimes(path: string, times: Times): void {
    this.#times.set(path, { atime: times.atime, mtime: times.mtime })
  }

  /** What was at the path is removed, with all below it. */
  removed(path: string, wasDirectory: boolean): void {
    this.#written.delete(path)
    this.#times.delete(path)
    if (!wasDirectory) return
    const below = `${path}/`
    for (const known of this.#written) if (known.startsWith(below)) this.#written.delete(known)
    for (const known of this.#times.keys()) if (known.startsWith(below)) this.#times.delete(known)
  }

  /** Sets the times of all directories that were written to. SYSTEM_CALL_FAILED. */
  restoreTimes(): void {
    for (const [path, times] of this.#times) {
      if (times === undefined) continue
      const shown = fromByteString(path)
      const fd = must(this.#reopen(path), 'openat2', shown)
      try {
        must(utimes(fd, times.atime, times.mtime), 'futimens', shown)
      } finally {
        closeSync(fd)
      }
    }
  }
}
