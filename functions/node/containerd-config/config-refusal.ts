/** Asks the daemon's own program whether it accepts the configuration files that are there now. */
import { execFile } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { namespaceOf, orGone } from '../../linux/process.ts'
import type { RunningConfig } from './running-config.ts'

const ANSWER_MS = 10_000

/**
 * Runs `containerd config dump` with the program of the running daemon, which reads the files and starts nothing.
 * @returns the program's words where it refuses the files; undefined where it accepts them, and where it cannot be asked: this
 *   process cannot see the daemon's, the daemon is in another mount namespace, or its program is one that embeds containerd (k3s)
 */
export async function configRefusal({ process, config }: RunningConfig): Promise<string | undefined> {
  const path = config.files[0]?.path
  if (process === undefined || path === undefined) return undefined
  const program = `/proc/${process.pid}/exe`
  if (!isContainerdHere(process.pid, program)) return undefined
  return await new Promise((resolve) => {
    const args = ['--config', path, 'config', 'dump']
    execFile(program, args, { timeout: ANSWER_MS, maxBuffer: 16 << 20 }, (error, _stdout, stderr) => {
      // Only an exit status is an answer. That it was killed, or could not be started, says nothing of the files.
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

/** The line with the reason: the first one of a panic, and the last one of any other failure. */
function reasonIn(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('time='))
  const panic = lines.find((line) => line.startsWith('panic:'))
  return (panic ?? lines.at(-1) ?? 'it does not say why').replace(/^containerd: /u, '')
}
