/** Marks that tell one process from every other, so that what a dead process left is known for what it is. */
import { readFileSync } from 'node:fs'
import { namespaceOf, orGone, processStat } from '../linux/process.ts'

/** The label of a lease with the mark of the process that holds it. */
export const PROCESS_LABEL = 'layercast.owner'

/** The mark of this process, `BOOT/PID-NAMESPACE/PID/START-TIME`, which no other process of this machine has. Undefined without a /proc. */
export function processMark(): string | undefined {
  const place = placeMark()
  const start = startTime(process.pid)
  return place === undefined || start === undefined ? undefined : `${place}/${process.pid}/${start}`
}

/**
 * Whether the process of a mark has ended. This can be told of a process of the same boot and PID namespace only; for any other,
 * and in doubt, the answer is no.
 */
export function hasEnded(mark: string): boolean {
  const [boot, namespace, pid, start, ...rest] = mark.split('/')
  if (rest.length > 0 || start === undefined || !/^[1-9][0-9]{0,9}$/.test(pid ?? '')) return false
  if (`${boot}/${namespace}` !== placeMark()) return false
  if (!hasProcess(Number(pid))) return true
  const startNow = startTime(Number(pid))
  return startNow !== undefined && startNow !== start
}

/** Asks by signal 0, which answers also where /proc hides the processes of other users. */
function hasProcess(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** The boot and the PID namespace that process IDs here belong to. */
function placeMark(): string | undefined {
  return orGone(() => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()}/${namespaceOf('pid')}`
  })
}

function startTime(pid: number): string | undefined {
  const stat = orGone(() => processStat(pid))
  // A zombie has ended: its start time shall not equal that of a mark.
  return stat?.state === 'Z' ? `zombie ${stat.startTime}` : stat?.startTime
}
