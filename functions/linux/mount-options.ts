/** Mount options as containerd's API and fstab(5) spell them, as flags of mount(2) and data for the file system. */
import { LayercastError } from '../errors.ts'

export const MS_RDONLY = 0x1
export const MS_REMOUNT = 0x20
export const MS_BIND = 0x1000
export const MS_REC = 0x4000
const MS_UNBINDABLE = 1 << 17
const MS_PRIVATE = 1 << 18
const MS_SLAVE = 1 << 19
const MS_SHARED = 1 << 20
const PROPAGATION = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED

const SET: Readonly<Record<string, number>> = {
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
  dirsync: 0x80,
  mand: 0x40,
  noatime: 0x400,
  nodev: 0x4,
  nodiratime: 0x800,
  noexec: 0x8,
  nosuid: 0x2,
  relatime: 1 << 21,
  remount: MS_REMOUNT,
  ro: MS_RDONLY,
  strictatime: 1 << 24,
  sync: 0x10,
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
}

const CLEAR: Readonly<Record<string, number>> = {
  async: 0x10,
  atime: 0x400,
  dev: 0x4,
  diratime: 0x800,
  exec: 0x8,
  nomand: 0x40,
  norelatime: 1 << 21,
  nostrictatime: 1 << 24,
  rw: MS_RDONLY,
  suid: 0x2,
  defaults: 0,
}

export interface ParsedOptions {
  flags: number
  /** Propagation flags, which mount(2) takes in a call of their own. */
  propagation: number
  /** What the file system itself is told, such as `lowerdir=...`. */
  data: string[]
  loop: boolean
}

/**
 * Takes the options of one mount apart. FAILED_PRECONDITION for those that are meant for containerd's mount manager,
 * which must have been resolved before.
 */
export function parseMountOptions(options: readonly string[]): ParsedOptions {
  let flags = 0
  let propagation = 0
  let loop = false
  const data: string[] = []
  for (const option of options) {
    const set = SET[option]
    const clear = CLEAR[option]
    if (option.startsWith('X-containerd.')) {
      throw new LayercastError('FAILED_PRECONDITION', `the mount option ${option} is for containerd's mount manager`, {
        fix: 'Activate the mounts through containerd, or apply the layer with containerd (--applier containerd).',
      })
    } else if (set !== undefined && (set & PROPAGATION) !== 0) propagation |= set
    else if (set !== undefined) flags |= set
    else if (clear !== undefined) flags &= ~clear
    else if (option === 'loop') loop = true
    else if (option !== '') data.push(option)
  }
  return { flags, propagation, data, loop }
}

/** The directories of an overlay's lowerdir option, unescaped, topmost first; none when there is no such option. */
export function lowerDirectories(data: readonly string[]): string[] {
  const option = data.findLast((item) => item.startsWith('lowerdir='))
  if (option === undefined) return []
  return option
    .slice('lowerdir='.length)
    .split(/(?<!\\):/)
    .map(unescape)
}

/** The path in an overlay's `upperdir` or `workdir` option, unescaped as the kernel does it; undefined where there is none. */
export function overlayDirectory(data: readonly string[], name: 'upperdir' | 'workdir'): string | undefined {
  const value = optionValue(data, name)
  return value === undefined ? undefined : unescape(value)
}

function unescape(path: string): string {
  return path.replace(/\\([:,\\])/g, '$1')
}

/** The value of an option `name=value`, the last one counting. */
export function optionValue(data: readonly string[], name: string): string | undefined {
  return data.findLast((item) => item.startsWith(`${name}=`))?.slice(name.length + 1)
}
