/**
 * Mounts as containerd's API describes them (types/mount.proto), made by mount(2) and by the new mount API where the
 * options of an overlay are too long for mount(2), which takes one page. FUSE file systems are mounted by their helpers.
 */
import { closeSync, readlinkSync } from 'node:fs'
import type { LayercastError } from '../errors.ts'
import { AT_FDCWD, O_DIRECTORY, O_PATH, openAt, RESOLVE_IN_ROOT } from './at.ts'
import { toByteString } from './bytes.ts'
import { bind, errno, must, systemError } from './libc.ts'
import { withLoopDevice } from './loop.ts'
import { helperOf, mountWithHelper } from './mount-helper.ts'
import type { Mount } from './mount-list.ts'
import { lowerDirectories, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, parseMountOptions } from './mount-options.ts'
import type { ParsedOptions } from './mount-options.ts'

const calls = {
  mount: bind(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  ),
  umount2: bind('int umount2(const char *target, int flags)'),
  fsopen: bind('long syscall(long number, const char *type, unsigned int flags)'),
  fsconfig: bind(
    'long syscall(long number, int fd, unsigned int command, const char *key, const char *value, int aux)',
  ),
  fsmount: bind('long syscall(long number, int fd, unsigned int flags, unsigned int attributes)'),
  moveMount: bind(
    'long syscall(long number, int fromfd, const char *from, int tofd, const char *to, unsigned int flags)',
  ),
}
// The numbers of the calls that came after 5.1 are the same on every architecture.
const SYS = { moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432 }
const FSCONFIG = { flag: 0, string: 1, create: 6 }
const MOVE_MOUNT_F_EMPTY_PATH = 0x4
const MNT_DETACH = 0x2
const UMOUNT_NOFOLLOW = 0x8

/** The most that mount(2) takes as data, with its NUL. */
const PAGE = 4096

/** Unmounts what `mountAll` mounted, in reverse. Safe to call twice. */
export type Unmount = () => Promise<void>

/**
 * Mounts a list of mounts one over the other at `target`, an existing directory; a mount's own `target` says where
 * below it. When one fails, those before it are unmounted.
 * Errors: SYSTEM_CALL_FAILED, FAILED_PRECONDITION (an option for containerd's mount manager), MOUNT_HELPER_MISSING.
 */
export async function mountAll(mounts: readonly Mount[], target: string): Promise<Unmount> {
  const mounted: string[] = []
  const unmount = async (): Promise<void> => {
    for (let last = mounted.at(-1); last !== undefined; last = mounted.at(-1)) {
      await unmountPath(last)
      mounted.pop()
    }
  }
  try {
    for (const mount of mounts) mounted.push(await mountOne(mount, target))
  } catch (error) {
    await unmount()
    throw error
  }
  return unmount
}

/**
 * Unmounts the topmost mount at a path. A busy mount is asked for again for half a second, then detached, so that it
 * goes when its last user does. A path with no mount is left alone.
 */
export async function unmountPath(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const result = await calls.umount2.later(path, UMOUNT_NOFOLLOW)
    if (result >= 0 || result === -errno.EINVAL || result === -errno.ENOENT) return
    if (result !== -errno.EBUSY) throw systemError('umount2', result, path)
    if (tries === 10) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  must(await calls.umount2.later(path, UMOUNT_NOFOLLOW | MNT_DETACH), 'umount2', path)
}

/** Detaches every mount at a path at once, whoever uses it, and says how many there were. */
export function detachAll(path: string): number {
  for (let count = 0; ; count++) {
    const result = calls.umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH)
    if (result === -errno.EINVAL || result === -errno.ENOENT) return count
    must(result, 'umount2', path)
  }
}

async function mountOne(mount: Mount, target: string): Promise<string> {
  const helper = helperOf(mount.type)
  if (helper !== undefined) {
    // Another process knows no descriptor of ours: it gets the place by its path.
    const place = mount.target === '' ? target : insideOf(target, mount.target, (_, real) => real)
    await mountWithHelper(mount, helper, place)
    return place
  }
  const options = parseMountOptions(mount.options)
  if (mount.target === '') {
    mountAt(mount, options, target, target)
    return target
  }
  // The file system mounted before may hold a symbolic link at this place; it must not lead out of it.
  return insideOf(target, mount.target, (path, real) => {
    mountAt(mount, options, path, real)
    return real
  })
}

function insideOf<T>(root: string, below: string, fn: (path: string, real: string) => T): T {
  const rootfd = must(openAt(AT_FDCWD, toByteString(root), O_PATH | O_DIRECTORY), 'openat2', root)
  try {
    const options = { resolve: RESOLVE_IN_ROOT }
    const fd = must(openAt(rootfd, toByteString(below), O_PATH | O_DIRECTORY, options), 'openat2', below)
    try {
      const path = `/proc/self/fd/${fd}`
      return fn(path, readlinkSync(path))
    } finally {
      closeSync(fd)
    }
  } finally {
    closeSync(rootfd)
  }
}

function mountAt(mount: Mount, options: ParsedOptions, target: string, shown: string): void {
  const data = options.data.join(',')
  if ((options.flags & MS_REMOUNT) === 0 || data !== '') {
    if (options.loop) mountFiles(mount, options, target, shown)
    else if (mount.type === 'overlay' && Buffer.byteLength(data) >= PAGE)
      mountLongOverlay(mount, options, target, shown)
    else call(mount, options.flags, data, target, shown)
  }
  if (options.propagation !== 0) {
    must(calls.mount(null, target, null, options.propagation, null), 'mount', shown)
  }
  // mount(2) ignores `ro` when it makes a bind mount; it takes a second call.
  const readonlyBind = MS_BIND | MS_RDONLY
  if ((options.flags & readonlyBind) === readonlyBind) {
    must(calls.mount(null, target, null, (options.flags & ~MS_REC) | MS_REMOUNT, null), 'mount', shown)
  }
}

function call(mount: Mount, flags: number, data: string, target: string, shown: string, source = mount.source): void {
  const result = calls.mount(source, target, mount.type, flags, data === '' ? null : data)
  if (result < 0) throw mountError('mount', result, mount, shown)
}

/** Mounts files as devices: the source, and those that erofs is told of by `device=`. */
function mountFiles(mount: Mount, options: ParsedOptions, target: string, shown: string): void {
  const { flags, data } = options
  if (mount.type === 'erofs') {
    // Linux 6.12 mounts the files themselves.
    const result = calls.mount(mount.source, target, mount.type, flags, data.length === 0 ? null : data.join(','))
    if (result >= 0) return
    if (result !== -errno.ENOTBLK) throw mountError('mount', result, mount, shown)
  }
  const readOnly = (flags & MS_RDONLY) !== 0
  const given: string[] = []
  const mountFrom = (index: number): void => {
    const option = data[index]
    if (option === undefined) {
      withLoopDevice(mount.source, readOnly, (device) => call(mount, flags, given.join(','), target, shown, device))
    } else if (option.startsWith('device=')) {
      withLoopDevice(option.slice('device='.length), readOnly, (device) => {
        given.push(`device=${device}`)
        mountFrom(index + 1)
      })
    } else {
      given.push(option)
      mountFrom(index + 1)
    }
  }
  mountFrom(0)
}

function mountError(name: string, result: number, mount: Mount, shown: string): LayercastError {
  const what = `${mount.type} mount of ${mount.source} at ${shown}`
  if (result === -errno.EINVAL) {
    return systemError(name, result, what, 'see the kernel log (dmesg) for what the file system says of its options')
  }
  return systemError(name, result, what)
}

/**
 * An overlay whose options exceed a page. The lower directories are named by open descriptors, which makes them short;
 * where that is still too much (over 200 of them), they are added one by one, which needs Linux 6.7.
 */
function mountLongOverlay(mount: Mount, options: ParsedOptions, target: string, shown: string): void {
  const open: number[] = []
  try {
    const lowers = lowerDirectories(options.data).map((path) => {
      const fd = must(openAt(AT_FDCWD, toByteString(path), O_PATH | O_DIRECTORY), 'openat2', path)
      open.push(fd)
      return `/proc/self/fd/${fd}`
    })
    const others = options.data.filter((option) => !option.startsWith('lowerdir='))
    const data = [...others, `lowerdir=${lowers.join(':')}`].join(',')
    if (Buffer.byteLength(data) < PAGE) call(mount, options.flags, data, target, shown)
    else mountByParts(mount, options.flags, others, lowers, target, shown)
  } finally {
    for (const fd of open) closeSync(fd)
  }
}

function mountByParts(
  mount: Mount,
  flags: number,
  others: readonly string[],
  lowers: readonly string[],
  target: string,
  shown: string,
): void {
  const check = (result: number, name: string): number => {
    if (result < 0) throw mountError(name, result, mount, shown)
    return result
  }
  const context = check(calls.fsopen(SYS.fsopen, mount.type, 1), 'fsopen')
  try {
    const set = (key: string, value: string | undefined): void => {
      const command = value === undefined ? FSCONFIG.flag : FSCONFIG.string
      check(calls.fsconfig(SYS.fsconfig, context, command, key, value ?? null, 0), `fsconfig ${key}`)
    }
    set('source', mount.source)
    if ((flags & MS_RDONLY) !== 0) set('ro', undefined)
    for (const option of others) {
      const equals = option.indexOf('=')
      if (equals === -1) set(option, undefined)
      else set(option.slice(0, equals), option.slice(equals + 1))
    }
    for (const lower of lowers) set('lowerdir+', lower)
    check(calls.fsconfig(SYS.fsconfig, context, FSCONFIG.create, null, null, 0), 'fsconfig create')
    const mounted = check(calls.fsmount(SYS.fsmount, context, 1, 0), 'fsmount')
    try {
      check(calls.moveMount(SYS.moveMount, mounted, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), 'move_mount')
    } finally {
      closeSync(mounted)
    }
  } finally {
    closeSync(context)
  }
}
