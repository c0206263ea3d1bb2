/** Extended attributes of a layer's entries, taken over as containerd does. */
import { fromByteString } from '../linux/bytes.ts'
import { errno, systemError } from '../linux/libc.ts'
import { hasXattr, listXattrs, removeXattr, removeXattrAt, setXattr, setXattrAt } from '../linux/xattr.ts'

/** What overlay file systems keep for themselves in the namespace of users. */
const OVERLAYS = ['user.overlay.', 'user.fuseoverlayfs.'] as const
export const CAPABILITY = 'security.capability'
export const ACCESS_ACL = 'system.posix_acl_access'
export const DEFAULT_ACL = 'system.posix_acl_default'

/** Whether an attribute is one that layers bring: others are the node's own, as its security module's are. */
export function isOfLayers(name: string): boolean {
  if (name === CAPABILITY || name === ACCESS_ACL || name === DEFAULT_ACL) return true
  return name.startsWith('user.') && !OVERLAYS.some((prefix) => name.startsWith(prefix))
}

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

/**
 * Takes away what an open file or directory has that layers bring and its entry does not name: what an entry of a layer
 * below gave a directory, and what a default ACL of the directory above hands down. SYSTEM_CALL_FAILED.
 */
export function dropOtherXattrs(fd: number, xattrs: readonly (readonly [string, string])[], shown: string): void {
  const names = listXattrs(fd)
  if (typeof names === 'number') throw systemError('flistxattr', names, shown)
  for (const name of names) {
    if (isOfLayers(name) && !xattrs.some(([kept]) => kept === name)) mustRemove(removeXattr(fd, name), shown)
  }
}

/** Whether what is made in the directory is given an ACL. */
export function handsDownAcl(fd: number): boolean {
  return hasXattr(fd, DEFAULT_ACL)
}

/** Takes away the ACL that a name was given when it was made, by the directory that it is in. SYSTEM_CALL_FAILED. */
export function dropAclAt(parent: number, name: string, shown: string): void {
  mustRemove(removeXattrAt(parent, name, ACCESS_ACL), shown)
}

function mustRemove(result: number, shown: string): void {
  if (result < 0 && result !== -errno.ENODATA) throw systemError('removexattr', result, shown)
}
