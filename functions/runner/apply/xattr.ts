/** Extended attributes of a layer's entries, taken over as containerd does. */
import { fromByteString } from '../system/bytes.ts'
import { errno, systemError } from '../system/libc.ts'
import { setXattr, setXattrAt } from '../system/xattr.ts'

/** Where an entry is: an open descriptor of it, or its name in its parent's. */
export type Place = { fd: number } | { parent: number; name: string }

export type Ignored = (attribute: string, reason: string) => void

/**
 * Sets the attributes. Ignored are `trusted.` ones, which only the node itself may set (overlayfs keeps its own state
 * there), those that the file system does not know, and `user.` ones on what can have none. SYSTEM_CALL_FAILED.
 */
export function applyXattrs(
  place: Place,
  xattrs: readonly (readonly [string, string])[],
  canHaveUser: boolean,
  ignored: Ignored,
): void {
  for (const [name, value] of xattrs) {
    if (name.startsWith('trusted.')) {
      ignored(name, 'trusted attributes are not taken from layers')
      continue
    }
    const result = 'fd' in place ? setXattr(place.fd, name, value) : setXattrAt(place.parent, place.name, name, value)
    if (result >= 0) continue
    if (result === -errno.ENOTSUP) ignored(name, 'the file system does not support it')
    else if (result === -errno.EPERM && name.startsWith('user.') && !canHaveUser) {
      ignored(name, 'only files and directories have user attributes')
    } else {
      throw systemError('setxattr', result, fromByteString(name), 'use a file system that holds this attribute')
    }
  }
}
