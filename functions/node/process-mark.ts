import { readFile, readlink } from 'node:fs/promises'

/** A lease's label that says which process made it. */
export const OWNER_LABEL = 'layercast.owner'

/** This process as no other of this boot is spelt: boot, pid namespace, pid, start time. Undefined without a /proc. */
export async function ownerMark(): Promise<string | undefined> {
  const place = await placeMark()
  const start = await startTime(process.pid)
  return place === undefined || start === undefined ? undefined : `${place}/${process.pid}/${start}`
}

/**
 * Whether the process that the mark names has ended. Only a process of the same boot and pid namespace can be told;
 * for any other, and in doubt, the answer is no.
 */
export async function isLeftBehind(mark: string): Promise<boolean> {
  const [boot, namespace, pid, start, ...rest] = mark.split('/')
  if (rest.length > 0 || start === undefined || !/^[1-9][0-9]{0,9}$/.test(pid ?? '')) return false
  if (`${boot}/${namespace}` !== (await placeMark())) return false
  if (!hasProcess(Number(pid))) return true
  const startNow = await startTime(Number(pid))
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

async function placeMark(): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const namespace = await readlink('/proc/self/ns/pid')
    return `${boot.trim()}/${namespace.replace(/[^0-9]/g, '')}`
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Field 22 of /proc/PID/stat (proc(5)), in clock ticks since boot; undefined where it cannot be read. */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The command in field 2 may hold spaces and parentheses: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie runs no more, and so never is the one that made a lease.
    return fields[0] === 'Z' ? `zombie ${fields[19]}` : fields[19]
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EACCES', 'EINVAL'].includes(`${error.code}`)
}
