/** Processes as /proc shows them (proc(5)). It is memory of the kernel, so reading it waits for no disk. */
import { readFileSync, readlinkSync } from 'node:fs'

/** What /proc/PID/stat says. */
export interface ProcessStat {
  /** One letter: R running, S sleeping, Z zombie, ... */
  state: string
  /** Field 22, in clock ticks since boot. A number that is used again belongs to a process with another start time. */
  startTime: string
}

/** Undefined where no process has the number. Throws what Node says of one that is hidden from this user. */
export function processStat(pid: number | 'self'): ProcessStat | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return undefined
    throw error
  }
  // Field 2 is the command in parentheses, and may hold spaces and parentheses: fields count from the last one, which is the third.
  const [state = '', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state, startTime: rest[18] ?? '' }
}

/** The number of a namespace that a process is in. Throws what Node says where it is not there, or not to be looked at. */
export function namespaceOf(kind: 'mnt' | 'pid', pid: number | 'self' = 'self'): number {
  return Number(readlinkSync(`/proc/${pid}/ns/${kind}`).replace(/[^0-9]/g, ''))
}

/** Looks at a process in /proc; undefined where it ends meanwhile, or is not for this user to look at. */
export function orGone<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    // EINVAL: the /proc of a sandbox, where a namespace is no link.
    if (isCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL')) return undefined
    throw error
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
