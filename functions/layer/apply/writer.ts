/**
 * Writes the entries of one layer below a root directory. Every name is reached through descriptors (directories.ts), so
 * that no path, symbolic link, hard link or race leaves the root. The order of steps is containerd's: content, owner,
 * attributes, mode, times; the times of directories last of all.
 */
import { closeSync } from 'node:fs'
import {
  chmod,
  chmodPath,
  chown,
  chownAt,
  linkAt,
  makeDevice,
  mkdirAt,
  mknodAt,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  openAt,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFCHR,
  S_IFIFO,
  symlinkAt,
  truncate,
  utimes,
  utimesAt,
} from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { errno, must } from '../../linux/libc.ts'
import type { Entry, Metadata } from '../read/entry.ts'
import { unsafe } from '../read/guard.ts'
import type { LayerSink } from '../read/layer.ts'
import { corrupt } from '../read/tar-header.ts'
import { applyXattrs, DEFAULT_ACL, dropAclAt, dropOtherXattrs } from '../xattr.ts'
import type { Place } from '../xattr.ts'
import { kindOf, writeAt } from './descriptor.ts'
import { Directories, joinPath } from './directories.ts'
import type { Directory } from './directories.ts'
import type { Ignored } from './types.ts'
import { Whiteouts } from './whiteouts.ts'
import type { WhiteoutForm } from './whiteouts.ts'
import { WriteLog } from './write-log.ts'

export interface LayerWriterOptions {
  /** How whiteouts are written: by removing what they hide, or as overlayfs keeps them in an upperdir. */
  whiteouts: WhiteoutForm
  /** Whether device nodes can be made; in a user namespace they cannot, and are left out. */
  devices: boolean
  /** Told of what is left out, and why. */
  onIgnored?: ((ignored: Ignored) => void) | undefined
}

type Content = Exclude<Entry, { kind: 'whiteout' | 'opaque' }>

export class LayerWriter implements LayerSink {
  readonly #root: number
  readonly #options: LayerWriterOptions
  readonly #log: WriteLog
  readonly #directories: Directories
  readonly #whiteouts: Whiteouts
  #impliesDirectories = false
  // Device nodes that could not be made. A hard link to one of them is left out too.
  readonly #omitted = new Set<string>()
  #file: { fd: number; entry: Content & { kind: 'file' }; end: number; hasAcl: boolean } | undefined

  /** @param root an open directory, which the caller closes after `close`. */
  constructor(root: number, options: LayerWriterOptions) {
    this.#root = root
    this.#options = options
    this.#directories = new Directories(root, {
      making: (parent) => this.#log.keepTimes(parent),
      made: (directory) => {
        this.#impliesDirectories = true
        this.#log.made(directory.path)
        this.#whiteouts.directoryMade(directory)
      },
      isWhiteout: (parent, name) => this.#whiteouts.isWhiteout(parent, name),
      removeWhiteout: (parent, name) => this.#whiteouts.removeWhiteout(parent, name),
      removeLowerFile: (parent, name) => this.#removeLowerFile(parent, name),
    })
    this.#log = new WriteLog((path) => this.#directories.reopen(path))
    this.#whiteouts = new Whiteouts(options.whiteouts, this.#log, () => this.#directories.forget())
  }

  /** Whether a directory was made for a path before an entry named it. */
  get impliesDirectories(): boolean {
    return this.#impliesDirectories
  }

  /** Starts an entry; the data of a file follows, then `end`. LAYER_CORRUPT, LAYER_UNSAFE, SYSTEM_CALL_FAILED. */
  begin(entry: Entry): void {
    this.#whiteouts.settle()
    if (entry.kind === 'opaque' || entry.kind === 'whiteout') this.#hide(entry)
    else this.#write(entry)
  }

  /** Bytes of the present file, at an offset. */
  data(bytes: Uint8Array, offset: number): void {
    const file = this.#file
    if (file === undefined) return
    for (let done = 0; done < bytes.length;) {
      done += writeAt(file.fd, bytes.subarray(done), offset + done, file.entry.path)
    }
    file.end = offset + bytes.length
  }

  /** The present entry is complete. */
  end(): void {
    const file = this.#file
    if (file === undefined) return
    const { metadata, path, size } = file.entry
    const shown = fromByteString(path.join('/'))
    // Zeros at the end of a sparse file are in no data.
    if (file.end < size) must(truncate(file.fd, size), 'ftruncate', shown)
    this.#setOpen(file.fd, metadata, shown, file.hasAcl)
    must(utimes(file.fd, metadata.atime, metadata.mtime), 'futimens', shown)
    this.#file = undefined
    closeSync(file.fd)
  }

  /** All entries are written: sets the times of the directories, those that only had content changed included. */
  finish(): void {
    this.#whiteouts.settle()
    this.#log.restoreTimes()
  }

  /** Closes what is open, after an error too. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd)
    this.#file = undefined
    this.#directories.forget()
  }

  // In the form `remove` the layers below are in view: a directory that is missing holds nothing to hide. In an upperdir they
  // are not, so the directory is made, unless this layer has deleted it or one above it.
  #hide(entry: Exclude<Entry, Content>): void {
    const make = this.#options.whiteouts === 'remove' ? 'none' : 'unhidden'
    const directory = this.#directories.find(entry.path, make)
    if (directory === undefined) return
    if (entry.kind === 'opaque') this.#whiteouts.hideContent(directory)
    else this.#whiteouts.hide(directory, entry.name)
  }

  /**
   * Removes a file of the layers below that a path goes through. A layer that names `a/b/c` says that `a/b` is a directory.
   * containerd reads it so under overlayfs, the snapshotter of nearly all nodes, and fails with ENOTDIR where it writes to the
   * merged tree; it fails for a deeper path, `a/b/c/d`, under overlayfs too. Here an image has one tree under every
   * snapshotter. A file that this layer wrote stays: such a layer contradicts itself, and containerd refuses it everywhere.
   */
  #removeLowerFile(parent: Directory, name: string): boolean {
    if (this.#log.has(joinPath(parent.path, name))) return false
    this.#whiteouts.remove(parent, name)
    return true
  }

  #write(entry: Content): void {
    const parent = this.#directories.find(entry.path.slice(0, -1), 'all')
    const name = entry.path.at(-1) ?? ''
    const shown = fromByteString(joinPath(parent.path, name))
    this.#log.keepTimes(parent)
    if (this.#omitted.size > 0) this.#omitted.delete(joinPath(parent.path, name))
    switch (entry.kind) {
      case 'file':
        this.#openFile(entry, parent, name, shown)
        break
      case 'directory':
        this.#makeDirectory(entry, parent, name, shown)
        return // its times are kept for the end
      case 'symlink':
        this.#create(parent, name, 'symlinkat', shown, () => symlinkAt(entry.target, parent.fd, name))
        this.#setAt(entry.metadata, parent, name, shown, false)
        break
      case 'link':
        this.#link(entry, parent, name, shown)
        break
      case 'node':
        this.#makeNode(entry, parent, name, shown)
        break
    }
    this.#log.wrote(parent.path, name)
  }

  // Makes what must not be there yet, in place of whatever is.
  #create(parent: Directory, name: string, call: string, shown: string, make: () => number): number {
    let result = make()
    for (let tries = 0; result === -errno.EEXIST && tries < 3; tries++) {
      this.#whiteouts.remove(parent, name)
      result = make()
    }
    return must(result, call, shown)
  }

  #openFile(entry: Content & { kind: 'file' }, parent: Directory, name: string, shown: string): void {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
    const fd = this.#create(parent, name, 'openat2', shown, () => openAt(parent.fd, name, flags, { mode: 0o600 }))
    this.#file = { fd, entry, end: 0, hasAcl: parent.handsDownAcl }
  }

  #makeDirectory(entry: Content, parent: Directory, name: string, shown: string): void {
    const open = (): number => openAt(parent.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    const made = mkdirAt(parent.fd, name, 0o700)
    let fd = made >= 0 || made === -errno.EEXIST ? open() : must(made, 'mkdirat', shown)
    const fresh = made >= 0 || fd < 0
    if (made === -errno.EEXIST && (fd === -errno.ENOTDIR || fd === -errno.ELOOP)) {
      this.#create(parent, name, 'mkdirat', shown, () => mkdirAt(parent.fd, name, 0o700))
      fd = open()
    }
    const handsDownAcl = entry.metadata.xattrs.some(([attribute]) => attribute === DEFAULT_ACL)
    const directory = { fd: must(fd, 'openat2', shown), path: joinPath(parent.path, name), handsDownAcl }
    try {
      if (fresh) this.#whiteouts.directoryMade(directory)
      this.#setOpen(fd, entry.metadata, shown, !fresh || parent.handsDownAcl)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.#directories.push(name, directory)
    this.#log.wrote(parent.path, name)
    this.#log.setTimes(directory.path, entry.metadata)
  }

  #link(entry: Content & { kind: 'link' }, parent: Directory, name: string, shown: string): void {
    if (this.#omitted.has(entry.target.join('/'))) {
      this.#omit(parent, name, shown)
      return
    }
    const target = fromByteString(entry.target.join('/'))
    const missing = `the hard link's target ${JSON.stringify(target)} is not there`
    const above = entry.target.slice(0, -1).join('/') || '.'
    const resolve = { resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS }
    const fd = openAt(this.#root, above, O_PATH | O_DIRECTORY, resolve)
    if (fd === -errno.ENOENT || fd === -errno.ENOTDIR) throw corrupt(missing, { target })
    if (fd === -errno.ELOOP) throw unsafe('the hard link leads through too many symbolic links', { target })
    must(fd, 'openat2', target)
    try {
      this.#create(parent, name, 'linkat', shown, () => {
        const result = linkAt(fd, entry.target.at(-1) ?? '', parent.fd, name)
        if (result === -errno.ENOENT) throw corrupt(missing, { target })
        if (result === -errno.EPERM) throw corrupt(`the hard link's target ${JSON.stringify(target)} is a directory`)
        return result
      })
    } finally {
      closeSync(fd)
    }
    this.#setAt(entry.metadata, parent, name, shown, true)
  }

  #makeNode(entry: Content & { kind: 'node' }, parent: Directory, name: string, shown: string): void {
    const device = makeDevice(entry.major, entry.minor)
    // The character device 0:0, overlayfs's whiteout, can be made without any right.
    const isDevice = entry.type !== S_IFIFO && !(entry.type === S_IFCHR && device === 0n)
    if (isDevice && !this.#options.devices) {
      this.#omit(parent, name, shown)
      return
    }
    const make = (): number => mknodAt(parent.fd, name, entry.type | 0o600, device)
    let result = make()
    if (result === -errno.EEXIST) {
      this.#whiteouts.remove(parent, name)
      result = make()
    }
    // It cannot be made within an overlay, where it means that nothing is there: so the name is hidden instead.
    if (result === -errno.EPERM && entry.type === S_IFCHR && device === 0n) {
      this.#whiteouts.hide(parent, name)
      return
    }
    must(result, 'mknodat', shown)
    if (parent.handsDownAcl) dropAclAt(parent.fd, name, shown)
    this.#setAt(entry.metadata, parent, name, shown, true)
  }

  // The name of a device node that cannot be made stays free, and what the layers below have there is hidden.
  #omit(parent: Directory, name: string, shown: string): void {
    const path = joinPath(parent.path, name)
    if (this.#log.has(path)) this.#whiteouts.remove(parent, name)
    else this.#whiteouts.hide(parent, name)
    this.#omitted.add(path)
    this.#ignored({ path: shown, what: 'device node', reason: 'a user namespace can make no device nodes', here: true })
  }

  // The owner first: the kernel clears file capabilities, setuid and setgid when it changes.
  #setOpen(fd: number, metadata: Metadata, shown: string, hasOthers: boolean): void {
    must(chown(fd, metadata.uid, metadata.gid), 'fchown', shown)
    if (hasOthers) dropOtherXattrs(fd, metadata.xattrs, shown)
    this.#setXattrs({ fd }, metadata, shown, true)
    must(chmod(fd, metadata.mode), 'fchmod', shown)
  }

  #setAt(metadata: Metadata, parent: Directory, name: string, shown: string, hasMode: boolean): void {
    must(chownAt(parent.fd, name, metadata.uid, metadata.gid), 'fchownat', shown)
    if (hasMode) this.#setMode(metadata, parent, name, shown)
    else this.#setXattrs({ parent: parent.fd, name }, metadata, shown, false)
    must(utimesAt(parent.fd, name, metadata.atime, metadata.mtime), 'utimensat', shown)
  }

  // For nodes and hard links; a hard link may be to a symbolic link, which has no mode.
  #setMode(metadata: Metadata, parent: Directory, name: string, shown: string): void {
    const fd = must(openAt(parent.fd, name, O_PATH | O_NOFOLLOW), 'openat2', shown)
    try {
      const kind = kindOf(fd, shown)
      this.#setXattrs({ parent: parent.fd, name }, metadata, shown, kind === 'file')
      if (kind !== 'symlink') must(chmodPath(fd, metadata.mode), 'chmod', shown)
    } finally {
      closeSync(fd)
    }
  }

  #setXattrs(place: Place, metadata: Metadata, shown: string, canHaveUser: boolean): void {
    if (metadata.xattrs.length === 0) return
    applyXattrs(place, metadata.xattrs, canHaveUser, (name, why) => {
      this.#ignored({ path: shown, what: `${fromByteString(name)} attribute`, ...why })
    })
  }

  #ignored(ignored: Ignored): void {
    this.#options.onIgnored?.(ignored)
  }
}
