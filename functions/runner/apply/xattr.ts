/** Extended attributes of a layer's entries, taken over as containerd does. */
import { fromByteString } from '../system/bytes.ts'
import { errno, systemError } from '../system/libc.ts'
import { setXattr, setXattrAt } from '../system/xattr.ts'

/** Where an entry is: an open descriptor of it, or its name in its parent's. */
export type Place = { fd: number } | { parent: number; name: string }

/** Told of an attribute that is left out; `here` is that of `Ignored` in ports.ts. */
export type OnIgnored = (attribute: string, why: { reason: string; here: boolean }) => void

/**
 * Sets the attributes. Left out are `trusted.` ones, which only the node itself may set (overlayfs keeps its own state
 * there), `user.` ones on what can have none, those that the file system does not know, and those that this process may
 * not set (`security.` ones in a user namespace): the tree is good without them, and the caller is told. SYSTEM_CALL_FAILED.
 */
export function applyXattrs(
  place: Place,
  xattrs: readonly (readonly [string, string])[],
  canHaveUser: boolean,
  ignored: OnIgnored,
): void {
  for (const [name, value] of xattrs) {
    if (name.startsWith('trusted.')) {
      ignored(name, { reason: 'trusted attributes are not taken from layers', here: false })
      continue
    }
    const result = 'fd' in place ? setXattr(place.fd, name, value) : setXattrAt(place.parent, place.name, name, value)
    if (result >= 0) continue
    const isUser = name.startsWith('user.')
    if (result === -errno.ENOTSUP)
      ignored(name, { reason: 'the file system does not support these attributes', here: true })
    else if (result === -errno.EPERM && isUser && !canHaveUser) {
      ignored(name, { reason: 'only files and directories have user attributes', here: false })
    } else if (result === -errno.EPERM && !isUser) {
      ignored(name, { reason: 'this process may not set these attributes', here: true })
    } else {
      throw systemError('setxattr', result, fromByteString(name), 'use a file system that holds this attribute')
    }
  }
}
