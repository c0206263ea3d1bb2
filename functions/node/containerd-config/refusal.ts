import { execFile } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { namespaceOf, orGone } from '../../linux/process.ts'
import type { RunningConfig } from './running.ts'

const ANSWER_MS = 10_000

/**
 * Whether the daemon's own program takes the configuration that is there now: `containerd config dump`, by the program that
 * runs, is the judge of that. It reads the files and starts nothing.
 * @returns the program's words where it refuses them; undefined where it takes them, and where it cannot be asked: the process
 *   is not seen from here, lives in another mount namespace, or is another program that has containerd in it (k3s)
 */
export async function refusalOf({ process, config }: RunningConfig): Promise<string | undefined> {
  const path = config.files[0]?.path
  if (process === undefined || path === undefined) return undefined
  const program = `/proc/${process.pid}/exe`
  if (!isContainerdHere(process.pid, program)) return undefined
  return await new Promise((resolve) => {
    const args = ['--config', path, 'config', 'dump']
    execFile(program, args, { timeout: ANSWER_MS, maxBuffer: 16 << 20 }, (error, _stdout, stderr) => {
      // Only a status of its own is an answer: not that it was ended, or could not be started.
      resolve(error !== null && typeof error.code === 'number' ? reasonIn(stderr) : undefined)
    })
  })
}

function isContainerdHere(pid: number, program: string): boolean {
  // From another mount namespace the program and its files are not those that it sees.
  const name = orGone(() =>
    namespaceOf('mnt', pid) === namespaceOf('mnt') ? basename(readlinkSync(program)) : undefined,
  )
  // The kernel says " (deleted)" of a program that an upgrade has replaced; it runs all the same.
  return name?.replace(/ \(deleted\)$/u, '') === 'containerd'
}

/** The sentence in which the program gives up. A panic has its reason first, and any other failure last. */
function reasonIn(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('time='))
  const panic = lines.find((line) => line.startsWith('panic:'))
  return (panic ?? lines.at(-1) ?? 'it does not say why').replace(/^containerd: /u, '')
}
