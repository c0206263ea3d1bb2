/** What a layer has written so far, and what the times of the directories are to be in the end. Paths are byte strings. */
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

export class Traces {
  readonly #reopen: (path: string) => number
  // What the layer wrote, and every directory above it: a whiteout hides none of these, for it is of the layers below.
  readonly #written = new Set<string>()
  // Undefined for directories that no entry describes and that the layers below did not have: theirs is the present.
  readonly #times = new Map<string, Times | undefined>()

  constructor(reopen: (path: string) => number) {
    this.#reopen = reopen
  }

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

  /** A directory was made for the sake of an entry below it. */
  made(path: string): void {
    this.#times.set(path, undefined)
  }

  /** The directory's content is about to change; its times are not to. */
  changing(directory: Directory): void {
    if (this.#times.has(directory.path)) return
    const stat = statAt(directory.fd, '')
    if (typeof stat === 'number') throw systemError('statx', stat, fromByteString(directory.path))
    this.#times.set(directory.path, { atime: stat.atime, mtime: stat.mtime })
  }

  setTimes(path: string, times: Times): void {
    this.#times.set(path, { atime: times.atime, mtime: times.mtime })
  }

  /** What was at the path is gone, and all below it. */
  removed(path: string, wasDirectory: boolean): void {
    this.#written.delete(path)
    this.#times.delete(path)
    if (!wasDirectory) return
    const below = `${path}/`
    for (const known of this.#written) if (known.startsWith(below)) this.#written.delete(known)
    for (const known of this.#times.keys()) if (known.startsWith(below)) this.#times.delete(known)
  }

  /** Sets the times of the directories. SYSTEM_CALL_FAILED. */
  restore(): void {
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
