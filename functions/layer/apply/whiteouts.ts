/**
 * What a layer deletes (image-spec 1.1, "Whiteouts"). A whiteout is of the layers below alone: what the same layer wrote
 * stays, in whichever order the two come.
 *
 * In the form `remove`, what is hidden is removed: for a merged view and for a plain directory. In the form `overlay`, the
 * root is an upperdir of overlayfs that holds nothing but this layer, and whiteouts are overlayfs's own: a character device
 * 0:0 for a name, the attribute trusted.overlay.opaque for all of a directory.
 */
import { closeSync, readdirSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import {
  mknodAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  rmdirAt,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  statAt,
  unlinkAt,
} from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { errno, must, systemError } from '../../linux/libc.ts'
import { setXattr } from '../../linux/xattr.ts'
import { joinPath } from './directories.ts'
import type { Directory } from './directories.ts'
import type { WriteLog } from './write-log.ts'

export type WhiteoutForm = 'remove' | 'overlay'

const OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

export class Whiteouts {
  readonly #form: WhiteoutForm
  readonly #log: WriteLog
  readonly #moved: () => void
  // In the form `overlay`: paths at which the layers below must not show. A directory made there must be opaque.
  readonly #covered = new Set<string>()
  #stale = false

  /** @param moved called before the next entry where a directory or a link was removed: paths may lead elsewhere now */
  constructor(form: WhiteoutForm, log: WriteLog, moved: () => void) {
    this.#form = form
    this.#log = log
    this.#moved = moved
  }

  /** To be called between entries. */
  settle(): void {
    if (this.#stale) this.#moved()
    this.#stale = false
  }

  /** Hides one name of the layers below. */
  hide(parent: Directory, name: string): void {
    const path = joinPath(parent.path, name)
    if (this.#form === 'remove' && !this.#log.has(path)) {
      this.remove(parent, name)
      return
    }
    if (this.#log.has(path)) {
      // Written by this layer: only what the layers below have within it can be meant.
      const fd = openAt(parent.fd, name, OPEN)
      if (fd < 0) return
      try {
        this.hideContent({ fd, path, handsDownAcl: false })
      } finally {
        closeSync(fd)
      }
      return
    }
    this.#log.keepTimes(parent)
    let result = mknodAt(parent.fd, name, S_IFCHR, 0n)
    if (result === -errno.EEXIST) {
      // The whiteout came twice, or a directory was made here on the way to another whiteout.
      this.remove(parent, name)
      result = mknodAt(parent.fd, name, S_IFCHR, 0n)
    }
    must(result, 'mknodat', fromByteString(path))
    this.#covered.add(path)
  }

  /** Hides all that the layers below have in a directory. */
  hideContent(directory: Directory): void {
    if (this.#form === 'overlay') this.#makeOpaque(directory)
    else this.#prune(directory)
  }

  /** A directory was made. In the form `overlay` it must be opaque where a whiteout was, or the layers below show in it. */
  directoryMade(directory: Directory): void {
    if (this.#covered.delete(directory.path)) this.#makeOpaque(directory)
  }

  /** Whether this layer wrote a whiteout at the name, and nothing in its place since. */
  isWhiteout(parent: Directory, name: string): boolean {
    const path = joinPath(parent.path, name)
    return this.#covered.has(path) && !this.#log.has(path)
  }

  /** Removes the whiteout that this layer wrote, where a directory is to be made in its place. */
  removeWhiteout(parent: Directory, name: string): void {
    must(unlinkAt(parent.fd, name), 'unlinkat', fromByteString(joinPath(parent.path, name)))
  }

  /** Removes what is at a name, if anything, with all that is in it. */
  remove(parent: Directory, name: string): void {
    const path = joinPath(parent.path, name)
    const shown = fromByteString(path)
    const stat = statAt(parent.fd, name)
    if (stat === -errno.ENOENT) return
    if (typeof stat === 'number') throw systemError('statx', stat, shown)
    this.#log.keepTimes(parent)
    const kind = stat.mode & S_IFMT
    if (kind === S_IFDIR || kind === S_IFLNK) this.#stale = true
    if (kind === S_IFDIR) removeTree(parent.fd, name, shown)
    else must(unlinkAt(parent.fd, name), 'unlinkat', shown)
    this.#log.removed(path, kind === S_IFDIR)
    // In an upperdir whatever is at a name hides the layers below it. What comes in its place, also a directory, must do so too.
    if (this.#form === 'overlay') this.#covered.add(path)
  }

  #prune(directory: Directory): void {
    for (const name of listNames(directory.fd)) {
      const path = joinPath(directory.path, name)
      if (!this.#log.has(path)) {
        this.remove(directory, name)
        continue
      }
      const fd = openAt(directory.fd, name, OPEN)
      if (fd < 0) continue
      try {
        this.#prune({ fd, path, handsDownAcl: false })
      } finally {
        closeSync(fd)
      }
    }
  }

  #makeOpaque(directory: Directory): void {
    if (directory.path === '') {
      throw new LayercastError('LAYER_UNSUPPORTED', 'the layer hides all of the layers below at its root', {
        fix: 'Unpack this image without parallel mode: overlayfs has no sign for an opaque root.',
      })
    }
    must(setXattr(directory.fd, 'trusted.overlay.opaque', 'y'), 'fsetxattr', fromByteString(directory.path))
  }
}

/** The names in an open directory, as byte strings. */
function listNames(fd: number): string[] {
  return readdirSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' })
}

function removeTree(parentfd: number, name: string, shown: string): void {
  const fd = must(openAt(parentfd, name, OPEN), 'openat2', shown)
  try {
    for (const child of listNames(fd)) {
      const result = unlinkAt(fd, child)
      if (result === -errno.EISDIR) removeTree(fd, child, `${shown}/${fromByteString(child)}`)
      else must(result, 'unlinkat', `${shown}/${fromByteString(child)}`)
    }
  } finally {
    closeSync(fd)
  }
  must(rmdirAt(parentfd, name), 'unlinkat', shown)
}
