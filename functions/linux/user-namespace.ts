/** Whether the kernel lets this process make what only the machine's root may make. */
import { readFileSync } from 'node:fs'

/** Whether this process is in a user namespace of its own, where no device node can be made. */
export function inUserNamespace(): boolean {
  // The initial namespace maps every user to itself.
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))
}
