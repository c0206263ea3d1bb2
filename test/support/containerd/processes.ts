/** Finds and kills what a private daemon has started. */
import { readFileSync } from 'node:fs'
import { readFile, readdir, readlink, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Whether a process of this id runs. A zombie (ended, and not yet waited for by its parent) does not. */
export function alive(pid: number): boolean {
  const state = stateOf(pid)
  return state !== undefined && state !== 'Z'
}

function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/**
 * Kills every process that was started with this directory on its command line, or stands in it, with all that those
 * started: daemons, shims, containers. The control groups that containers were in go with them.
 */
export async function killUsers(directory: string): Promise<void> {
  const groups = new Set<string>()
  for (let round = 0; round < 100; round++) {
    const users = await usersOf(directory)
    if (users.length === 0) break
    for (const pid of users) {
      for (const group of await controlGroups(pid)) groups.add(group)
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
    await sleep(20)
  }
  // A group that is not empty holds processes of others.
  for (const group of groups) await rmdir(group).catch(() => undefined)
}

async function usersOf(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid)
  const parents = new Map<number, number>()
  const users = new Set<number>()
  for (const pid of pids) {
    // A process may exit while this reads: then there is nothing to kill.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === undefined || state === 'Z' || parent === undefined) continue
    parents.set(pid, Number(parent))
    if (await uses(pid, directory)) users.add(pid)
  }
  for (let before = -1; before !== users.size;) {
    before = users.size
    for (const [pid, parent] of parents) if (users.has(parent)) users.add(pid)
  }
  users.delete(process.pid)
  return [...users]
}

async function uses(pid: number, directory: string): Promise<boolean> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  if (words.some((word) => word.includes(`${directory}/`))) return true
  for (const link of ['cwd', 'root']) {
    const path = await readlink(`/proc/${pid}/${link}`).catch(() => '')
    if (`${path}/`.startsWith(`${directory}/`)) return true
  }
  return false
}

/** The control groups of a process, the root and those of this process left out. */
async function controlGroups(pid: number): Promise<string[]> {
  const of = async (id: number | 'self'): Promise<string[]> =>
    (await readFile(`/proc/${id}/cgroup`, 'utf8').catch(() => ''))
      .split('\n')
      .map((line) => /^\d+:([^:]*):(\/.+)$/.exec(line))
      .flatMap((match) => (match === null ? [] : [join('/sys/fs/cgroup', match[1] ?? '', match[2] ?? '')]))
  const own = new Set(await of('self'))
  return (await of(pid)).filter((group) => !own.has(group))
}
