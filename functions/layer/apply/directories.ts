/**
 * Finds and makes directories below a root, for a stream of paths that mostly follow one another. The directories along
 * the last path stay open, so that the next one costs a system call for each new component.
 *
 * A component is opened from its parent's descriptor, and no link is followed by the kernel. A symbolic link is resolved
 * here, step by step within the root, and each step is opened under RESOLVE_IN_ROOT and RESOLVE_NO_SYMLINKS, so that a link
 * that another process puts there meanwhile is refused. Missing directories that a link leads to are made, as containerd does.
 */
import { closeSync } from 'node:fs'
import {
  chmod,
  chown,
  mkdirAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  readlinkAt,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { errno, must, systemError } from '../../linux/libc.ts'
import type { Make } from '../read/entry.ts'
import { unsafe } from '../read/guard.ts'
import { corrupt } from '../read/tar-header.ts'
import { dropOtherXattrs, handsDownAcl } from '../xattr.ts'

export interface Directory {
  fd: number
  /** Where it is in the root, without symbolic links: a byte string, empty for the root. */
  path: string
  /** Whether it has a default ACL, which the kernel gives to what is made in it. */
  handsDownAcl: boolean
}

export interface DirectoryEvents {
  /** A directory is about to be made in this one. */
  making(parent: Directory): void
  /** A missing directory has been made: owned by root, with mode 0755. */
  made(directory: Directory): void
  /** Whether what is at the name, which is no directory and no link, is a whiteout that this layer wrote. */
  isWhiteout(parent: Directory, name: string): boolean
  /** Removes that whiteout, where a directory is to be made in its place. */
  removeWhiteout(parent: Directory, name: string): void
  /** Removes a file where a directory is to be made in its place; false, and nothing done, where this layer wrote the file. */
  removeLowerFile(parent: Directory, name: string): boolean
}

const OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
const RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
/** The most symbolic links in one path; Linux's own bound is 40, containerd's 255. */
const LINKS = 255

export function joinPath(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

export class Directories {
  readonly #root: Directory
  readonly #events: DirectoryEvents
  // The components last asked for and what they led to.
  readonly #names: string[] = []
  readonly #open: Directory[] = []

  constructor(rootfd: number, events: DirectoryEvents) {
    this.#root = { fd: rootfd, path: '', handsDownAcl: handsDownAcl(rootfd) }
    this.#events = events
  }

  /**
   * The directory that the components lead to. It stays open until a later call or `forget`.
   * @param make which missing directories are made; undefined is given for one that is not.
   * Errors: LAYER_CORRUPT (a component is no directory), LAYER_UNSAFE (too many links), SYSTEM_CALL_FAILED.
   */
  find(components: readonly string[], make: 'all'): Directory
  find(components: readonly string[], make: Make): Directory | undefined
  find(components: readonly string[], make: Make): Directory | undefined {
    let common = 0
    while (common < this.#names.length && this.#names[common] === components[common]) common++
    this.#closeFrom(common)
    for (let index = common; index < components.length; index++) {
      const parent = this.#open.at(-1) ?? this.#root
      const name = components[index] ?? ''
      const directory = this.#child(parent, name, make)
      if (directory === undefined) return undefined
      this.push(name, directory)
    }
    return this.#open.at(-1) ?? this.#root
  }

  /** Takes an open directory, just made or found below the last one, as the next of the path. */
  push(name: string, directory: Directory): void {
    this.#names.push(name)
    this.#open.push(directory)
  }

  /** Opens by a path without symbolic links, as `Directory.path` has it. The caller closes it. */
  reopen(path: string): number {
    return openAt(this.#root.fd, path === '' ? '.' : path, OPEN, { resolve: RESOLVE })
  }

  /** Closes all: a directory or a link was removed or replaced, and paths may lead elsewhere now. */
  forget(): void {
    this.#closeFrom(0)
  }

  #closeFrom(length: number): void {
    for (const { fd } of this.#open.splice(length)) closeSync(fd)
    this.#names.length = Math.min(this.#names.length, length)
  }

  #child(parent: Directory, name: string, make: Make): Directory | undefined {
    for (;;) {
      const fd = openAt(parent.fd, name, OPEN)
      if (fd >= 0) return { fd, path: joinPath(parent.path, name), handsDownAcl: handsDownAcl(fd) }
      if (fd === -errno.ENOENT) return make === 'none' ? undefined : this.#make(parent, name)
      if (fd !== -errno.ENOTDIR && fd !== -errno.ELOOP) throw systemError('openat2', fd, this.#shown(parent, name))
      const target = readlinkAt(parent.fd, name)
      if (typeof target === 'string') return this.#follow(parent, target, make)
      if (this.#events.isWhiteout(parent, name)) {
        if (make !== 'all') return undefined
        this.#events.removeWhiteout(parent, name)
      } else if (this.#events.removeLowerFile(parent, name)) return this.#make(parent, name)
      else throw corrupt(`${JSON.stringify(this.#shown(parent, name))}, which the path goes through, is no directory`)
    }
  }

  #make(parent: Directory, name: string): Directory {
    const shown = this.#shown(parent, name)
    this.#events.making(parent)
    must(mkdirAt(parent.fd, name, 0o755), 'mkdirat', shown)
    const fd = must(openAt(parent.fd, name, OPEN), 'openat2', shown)
    const directory = { fd, path: joinPath(parent.path, name), handsDownAcl: false }
    try {
      if (parent.handsDownAcl) dropOtherXattrs(fd, [], shown)
      // Whatever the umask, and whatever a setgid parent hands down.
      must(chown(directory.fd, 0, 0), 'fchown', shown)
      must(chmod(directory.fd, 0o755), 'fchmod', shown)
      this.#events.made(directory)
    } catch (error) {
      closeSync(directory.fd)
      throw error
    }
    return directory
  }

  #follow(parent: Directory, target: string, make: Make): Directory | undefined {
    const resolved = parent.path === '' ? [] : parent.path.split('/')
    const steps = unfold(resolved, target)
    let links = 1
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
      if (step === '..') {
        resolved.pop()
        continue
      }
      const above = this.#at(resolved)
      let next: Directory | undefined
      try {
        const found = openAt(above.fd, step, OPEN)
        if (found >= 0) closeSync(found)
        const link = found === -errno.ENOTDIR || found === -errno.ELOOP ? readlinkAt(above.fd, step) : undefined
        if (typeof link === 'string') {
          if (++links > LINKS) throw unsafe(`the path leads through more than ${LINKS} symbolic links`)
          steps.unshift(...unfold(resolved, link))
          continue
        }
        next = this.#child(above, step, make)
      } finally {
        closeSync(above.fd)
      }
      if (next === undefined) return undefined
      closeSync(next.fd)
      resolved.push(step)
    }
    return this.#at(resolved)
  }

  #at(resolved: readonly string[]): Directory {
    const path = resolved.join('/')
    const fd = must(this.reopen(path), 'openat2', fromByteString(path))
    return { fd, path, handsDownAcl: handsDownAcl(fd) }
  }

  #shown(parent: Directory, name: string): string {
    return fromByteString(joinPath(parent.path, name))
  }
}

// The steps of a link's target; an absolute one starts over from the root.
function unfold(resolved: string[], target: string): string[] {
  if (target.startsWith('/')) resolved.length = 0
  return target.split('/').filter((step) => step !== '' && step !== '.')
}
