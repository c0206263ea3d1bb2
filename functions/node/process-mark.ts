import { readFileSync } from 'node:fs'
import { namespaceOf, orGone, processStat } from '../linux/process.ts'

/** A lease's label that says which process made it. */
export const OWNER_LABEL = 'layercast.owner'

/** This process as no other of this boot is spelt: boot, pid namespace, pid, start time. Undefined without a /proc. */
export async function ownerMark(): Promise<string | undefined> {
  const place = placeMark()
  const start = startTime(process.pid)
  return place === undefined || start === undefined ? undefined : `${place}/${process.pid}/${start}`
}

/**
 * Whether the process that the mark names has ended. Only a process of the same boot and pid namespace can be told;
 * for any other, and in doubt, the answer is no.
 */
export async function isLeftBehind(mark: string): Promise<boolean> {
  const [boot, namespace, pid, start, ...rest] = mark.split('/')
  if (rest.length > 0 || start === undefined || !/^[1-9][0-9]{0,9}$/.test(pid ?? '')) return false
  if (`${boot}/${namespace}` !== placeMark()) return false
  if (!hasProcess(Number(pid))) return true
  const startNow = startTime(Number(pid))
  return startNow !== undefined && startNow !== start
}

/** Signal 0 also answers where /proc hides the processes of others. */
function hasProcess(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** The boot and the pid namespace that process numbers here belong to. */
function placeMark(): string | undefined {
  return orGone(() => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()}/${namespaceOf('pid')}`
  })
}

function startTime(pid: number): string | undefined {
  const stat = orGone(() => processStat(pid))
  // A zombie runs no more, and so never is the one that made a lease.
  return stat?.state === 'Z' ? `zombie ${stat.startTime}` : stat?.startTime
}
