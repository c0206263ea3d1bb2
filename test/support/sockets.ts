/** Which sockets a process and all that it started listen on, as the kernel tells. */
import { readdir, readFile, readlink } from 'node:fs/promises'

/** The processes below this one, and itself. */
export async function processTree(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`)
  const below = await Promise.all(
    tasks.map(async (task) => {
      const children = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8')
      return (await Promise.all(children.trim().split(' ').filter(Boolean).map(Number).map(processTree))).flat()
    }),
  )
  return [pid, ...below.flat()]
}

/** Each as `tcp ADDRESS:PORT` in the kernel's hexadecimal, or `unix NAME`. */
export async function listeningSockets(pids: readonly number[]): Promise<string[]> {
  const inodes = new Set<string>()
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      const inode = /^socket:\[(\d+)\]$/u.exec(target)?.[1]
      if (inode !== undefined) inodes.add(inode)
    }
  }
  const found: string[] = []
  for (const table of ['tcp', 'tcp6']) {
    for (const row of await rows(table)) {
      const [, local, , state, , , , , , inode] = row
      if (state === '0A' && inodes.has(inode ?? '')) found.push(`tcp ${local}`)
    }
  }
  for (const row of await rows('unix')) {
    const [, , , flags, , , inode, name] = row
    // __SO_ACCEPTCON: it listens.
    if ((Number.parseInt(flags ?? '0', 16) & 0x10000) !== 0 && inodes.has(inode ?? '')) found.push(`unix ${name ?? ''}`)
  }
  return found
}

async function rows(table: string): Promise<string[][]> {
  const text = await readFile(`/proc/net/${table}`, 'utf8')
  return text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/u))
}
