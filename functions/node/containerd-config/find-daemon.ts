/** Finds the process of a containerd daemon, and the configuration file that it was started with. */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { namespaceOf, orGone, processStat, type ProcessStat } from '../../linux/process.ts'
import { socketPath } from '../../linux/unix-socket.ts'
import type { Daemon } from '../ports.ts'
import { DEFAULT_CONFIG_PATH } from './files.ts'

/** The daemon's process, as /proc shows it. */
export interface RunningDaemon {
  pid: number
  startedAt: Date
  /** The file that it was started with, absolute. Undefined means the default one, which need not exist. */
  configPath: string | undefined
}

/**
 * Finds the process that serves the daemon's socket: containerd 1.7 and later tell their process ID; for older ones the kernel
 * tells which process listens. Undefined where this process cannot see that one, as from another PID namespace.
 */
export async function findDaemon(daemon: Pick<Daemon, 'address' | 'process'>): Promise<RunningDaemon | undefined> {
  const said = await daemon.process()
  if (said !== undefined && said.pidNamespace !== namespaceOf('pid')) return undefined
  const pid = said?.pid ?? listenerOf(daemon.address)
  return pid === undefined ? undefined : orGone(() => describe(pid))
}

function describe(pid: number): RunningDaemon | undefined {
  const stat = processStat(pid)
  if (stat === undefined) return undefined
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, -1)
  return { pid, startedAt: startOf(stat), configPath: configPathOf(pid, configOption(words)) }
}

function configPathOf(pid: number, path: string | undefined): string | undefined {
  if (path !== undefined) return resolve(readlinkSync(`/proc/${pid}/cwd`), path)
  // In another mount namespace than the daemon's, a default file that is missing here may still be there for the daemon. The
  // path is then named, so that a missing file is an error and does not count as "the daemon's defaults".
  return namespaceOf('mnt', pid) === namespaceOf('mnt') ? undefined : DEFAULT_CONFIG_PATH
}

/**
 * The value of `--config` or `-c` on containerd's command line. As Go's flag package reads it: one dash or two, the value after
 * `=` or as the next word, flags end at the first word that is none, and the last of several values counts.
 * @param words the command line without the program's name
 */
export function configOption(words: readonly string[]): string | undefined {
  let found: string | undefined
  for (let index = 0; index < words.length; index++) {
    const [, name, inline] = /^--?([^-=][^=]*)(?:=(.*))?$/su.exec(words[index] ?? '') ?? []
    if (name === undefined) break
    // Every option of the daemon takes a value.
    const value = inline ?? words[++index]
    if (name === 'config' || name === 'c') found = value
  }
  return found
}

const TICKS_PER_SECOND = 100

function startOf({ startTime }: ProcessStat): Date {
  const sinceBoot = Number(startTime) / TICKS_PER_SECOND
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  return new Date(Date.now() - (uptime - sinceBoot) * 1000)
}

/** The flag of a listening socket in /proc/net/unix (__SO_ACCEPTCON). */
const LISTENS = 0x10000

function listenerOf(address: string): number | undefined {
  const path = real(socketPath(address))
  const sockets = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (.+)$/.exec(line))
    .filter((match) => match !== null && (Number.parseInt(match[1] ?? '', 16) & LISTENS) !== 0)
    .filter((match) => real(match?.[3] ?? '') === path)
    .map((match) => `socket:[${match?.[2]}]`)
  if (sockets.length === 0) return undefined
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b)
    .find((pid) => holds(pid, sockets))
}

function holds(pid: number, sockets: readonly string[]): boolean {
  const directory = `/proc/${pid}/fd`
  const open = orGone(() => readdirSync(directory)) ?? []
  return open.some((fd) => sockets.includes(orGone(() => readlinkSync(`${directory}/${fd}`)) ?? ''))
}

function real(path: string): string {
  return orGone(() => realpathSync(path)) ?? path
}
