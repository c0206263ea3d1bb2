import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { alive } from './go-build.ts'

const run = promisify(execFile)
const PREFIX = 'layercast-containerd-'

/** A private directory named after this process; what dead processes left of theirs is cleared away first. */
export async function makeDirectory(): Promise<string> {
  for (const name of await readdir(tmpdir())) {
    const owner = /^layercast-containerd-(\d+)-/.exec(name)
    if (owner !== null && !alive(Number(owner[1]))) await clear(join(tmpdir(), name))
  }
  return mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`))
}

/** Kills whatever was started with this directory on its command line, unmounts all that lies below it, removes it. */
export async function clear(directory: string): Promise<void> {
  await killUsers(directory)
  // Several times: a mount may cover another, and a dying process may add one.
  for (let round = 0; round < 5; round++) {
    const points = await mountsBelow(directory)
    if (points.length === 0) break
    for (const point of points) await run('umount', ['-l', point]).catch(() => undefined)
  }
  const left = await mountsBelow(directory)
  // Never remove through a mount: it may lead out of the directory.
  if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`)
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
}

/** The mount points below a directory, the deepest first. */
export async function mountsBelow(directory: string): Promise<string[]> {
  const points = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    )
    .filter((point) => point === directory || point.startsWith(`${directory}/`))
  return points.toReversed()
}

async function killUsers(directory: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const users = await usersOf(directory)
    if (users.length === 0) return
    for (const pid of users) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
    await sleep(20)
  }
}

async function usersOf(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid)
  const found: number[] = []
  for (const pid of pids) {
    // Whoever exits while this reads is not there to be killed.
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    const root = await readlink(`/proc/${pid}/root`).catch(() => '')
    const uses = text.split('\0').some((word) => word.includes(`${directory}/`))
    if (uses || [cwd, root].some((path) => `${path}/`.startsWith(`${directory}/`))) found.push(pid)
  }
  return found
}
