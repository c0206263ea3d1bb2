/** The private directory of a daemon: made, and cleared away with all that uses it. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { alive, killUsers } from './processes.ts'

const run = promisify(execFile)
const PREFIX = 'layercast-containerd-'

/** Makes a private directory named after this process, after clearing away those of processes that have ended. */
export async function makeDirectory(parent = tmpdir()): Promise<string> {
  for (const name of await readdir(parent)) {
    const owner = /^layercast-containerd-(\d+)-/.exec(name)
    if (owner !== null && !alive(Number(owner[1]))) await clear(join(parent, name))
  }
  return mkdtemp(join(parent, `${PREFIX}${process.pid}-`))
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
  await clearRuntime(directory)
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

/**
 * A shim that is killed leaves its socket in a place of the machine that no configuration moves, and runc its record of a
 * container whose runtime was not told of a root of its own.
 */
async function clearRuntime(directory: string): Promise<void> {
  const tasks = join(directory, 'state', 'io.containerd.runtime.v2.task')
  for (const file of await readdir(tasks, { recursive: true }).catch(() => [])) {
    if (!/^[^/]+\/[^/]+\/(address|bootstrap\.json)$/.test(file)) continue
    const text = await readFile(join(tasks, file), 'utf8')
    const socket = /\/run\/containerd\/s\/[0-9a-f]+/.exec(text)
    if (socket !== null) await rm(socket[0], { force: true })
  }
  const runc = '/run/containerd/runc'
  for (const file of await readdir(runc, { recursive: true }).catch(() => [])) {
    if (!/^[^/]+\/[^/]+\/state\.json$/.test(file)) continue
    // Another daemon's container may end while this looks.
    const text = await readFile(join(runc, file), 'utf8').catch(() => '')
    if (text.includes(`"${directory}/`)) await rm(join(runc, file, '..'), { recursive: true, force: true })
  }
}
