/** Extended attributes (xattr(7)). Names and values are byte strings; results are the kernel's, as in at.ts. */
import { AT_FDCWD } from './at.ts'
import { bind, errno } from './libc.ts'

const calls = {
  fsetxattr: bind('int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)'),
  lsetxattr: bind('int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)'),
  lgetxattr: bind('int64_t lgetxattr(const void *path, const void *name, _Out_ uint8_t *value, size_t size)'),
  llistxattr: bind('int64_t llistxattr(const void *path, _Out_ uint8_t *list, size_t size)'),
  fgetxattr: bind('int64_t fgetxattr(int fd, const void *name, void *value, size_t size)'),
  flistxattr: bind('int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)'),
  fremovexattr: bind('int fremovexattr(int fd, const void *name)'),
  lremovexattr: bind('int lremovexattr(const void *path, const void *name)'),
}

const MOST = 65536 // the kernel's own bound, for a value as for a list of names

function bytes(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1')
}

// The l*xattr calls do not follow the last component; what comes before it is a descriptor, and no link.
function pathAt(dirfd: number, name: string): Buffer {
  if (dirfd === AT_FDCWD) return bytes(name)
  return bytes(name === '' ? `/proc/self/fd/${dirfd}/.` : `/proc/self/fd/${dirfd}/${name}`)
}

/** Sets an attribute of an open file or directory. */
export function setXattr(fd: number, name: string, value: string): number {
  if (name.includes('\0')) return -errno.EINVAL
  return calls.fsetxattr(fd, bytes(name), Buffer.from(value, 'latin1'), value.length, 0)
}

/** Sets an attribute of what is at the name in `dirfd`, without following a symbolic link. */
export function setXattrAt(dirfd: number, path: string, name: string, value: string): number {
  if (name.includes('\0') || path.includes('\0')) return -errno.EINVAL
  return calls.lsetxattr(pathAt(dirfd, path), bytes(name), Buffer.from(value, 'latin1'), value.length, 0)
}

/** The value of an attribute as a byte string, or a negative error number. The name may be empty for `dirfd` itself. */
export function getXattrAt(dirfd: number, path: string, name: string): string | number {
  const value = Buffer.alloc(MOST)
  const size = calls.lgetxattr(pathAt(dirfd, path), bytes(name), value, value.length)
  return size < 0 ? size : value.toString('latin1', 0, size)
}

/** The names of the attributes there are, sorted; none where the file system knows no attributes. */
export function listXattrsAt(dirfd: number, path: string): string[] | number {
  const list = Buffer.alloc(MOST)
  const size = calls.llistxattr(pathAt(dirfd, path), list, list.length)
  return namesIn(list, size)
}

// The calls are synchronous, so one buffer serves all of them.
const names = Buffer.alloc(MOST)

/** As `listXattrsAt`, of an open file or directory. */
export function listXattrs(fd: number): string[] | number {
  const size = calls.flistxattr(fd, names, names.length)
  return namesIn(names, size)
}

/** Whether an open file or directory has the attribute; false where that cannot be told. */
export function hasXattr(fd: number, name: string): boolean {
  return calls.fgetxattr(fd, bytes(name), null, 0) >= 0
}

/** Removes an attribute of an open file or directory. */
export function removeXattr(fd: number, name: string): number {
  return calls.fremovexattr(fd, bytes(name))
}

/** Removes an attribute of what is at the name in `dirfd`, without following a symbolic link. */
export function removeXattrAt(dirfd: number, path: string, name: string): number {
  if (path.includes('\0')) return -errno.EINVAL
  return calls.lremovexattr(pathAt(dirfd, path), bytes(name))
}

function namesIn(list: Buffer, size: number): string[] | number {
  if (size === -errno.ENOTSUP) return []
  if (size < 0) return size
  return list.toString('latin1', 0, size).split('\0').slice(0, -1).sort()
}
