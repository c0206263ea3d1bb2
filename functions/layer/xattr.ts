/** Extended attributes of a layer's entries: which ones layers may bring, and how they are set, as containerd does. */
import { fromByteString } from '../linux/bytes.ts'
import { errno, systemError } from '../linux/libc.ts'
import { hasXattr, listXattrs, removeXattr, removeXattrAt, setXattr, setXattrAt } from '../linux/xattr.ts'

/** Prefixes under which overlay file systems keep their own state among `user.` attributes. */
const OVERLAYS = ['user.overlay.', 'user.fuseoverlayfs.'] as const
export const CAPABILITY = 'security.capability'
export const ACCESS_ACL = 'system.posix_acl_access'
export const DEFAULT_ACL = 'system.posix_acl_default'

/** Whether an attribute is one that layers bring. The others are the node's own, such as its security module's. */
export function isOfLayers(name: string): boolean {
  if (name === CAPABILITY || name === ACCESS_ACL || name === DEFAULT_ACL) return true
  return name.startsWith('user.') && !OVERLAYS.some((prefix) => name.startsWith(prefix))
}

/** Where an entry is: an open descriptor of it, or its name in its parent's. */
export type Place = { fd: number } | { parent: number; name: string }

/** Told of an attribute that is left out; `here` as in `Ignored` (apply/types.ts). */
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

/**
 * Removes from an open file or directory the attributes that layers bring and its entry does not name: those that a lower
 * layer gave the directory, and those that come of the default ACL of the directory above. SYSTEM_CALL_FAILED.
 */
export function dropOtherXattrs(fd: number, xattrs: readonly (readonly [string, string])[], shown: string): void {
  const names = listXattrs(fd)
  if (typeof names === 'number') throw systemError('flistxattr', names, shown)
  for (const name of names) {
    if (isOfLayers(name) && !xattrs.some(([kept]) => kept === name)) mustRemove(removeXattr(fd, name), shown)
  }
}

/** Whether the directory has a default ACL, which the kernel gives to what is made in it. */
export function handsDownAcl(fd: number): boolean {
  return hasXattr(fd, DEFAULT_ACL)
}

/** Removes the ACL that a file was made with, by the default ACL of its directory. SYSTEM_CALL_FAILED. */
export function dropAclAt(parent: number, name: string, shown: string): void {
  mustRemove(removeXattrAt(parent, name, ACCESS_ACL), shown)
}

function mustRemove(result: number, shown: string): void {
  if (result < 0 && result !== -errno.ENODATA) throw systemError('removexattr', result, shown)
}
