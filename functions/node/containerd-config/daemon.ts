import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { namespaceOf, orGone, processStat } from '../../linux/process.ts'
import type { ProcessStat } from '../../linux/process.ts'
import type { Daemon } from '../ports.ts'
import { DEFAULT_CONFIG_PATH } from './files.ts'

/** The daemon's process, as /proc shows it. */
export interface RunningDaemon {
  pid: number
  startedAt: Date
  /** The file that it was started with, absolute; undefined where that is the default one, which need not be there. */
  configPath: string | undefined
}

/**
 * Finds the process that serves a backend's socket, and with which configuration it was started: containerd 1.7 and later
 * say their process, and for older ones the kernel says who holds the socket. Undefined where it cannot be seen from here,
 * as from another PID namespace.
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
  // From a container beside the daemon, that a file is not there says nothing: it must be named, or be there.
  return namespaceOf('mnt', pid) === namespaceOf('mnt') ? undefined : DEFAULT_CONFIG_PATH
}

/**
 * The value of `--config` or `-c` on containerd's command line, without the program's name. Go's flags take one dash or
 * two, `=` or a word of its own, and end at the first word that is none; the last of several counts.
 */
export function configOption(words: readonly string[]): string | undefined {
  let found: string | undefined
  for (let index = 0; index < words.length; index++) {
    const [, name, inline] = /^--?([^-=][^=]*)(?:=(.*))?$/su.exec(words[index] ?? '') ?? []
    if (name === undefined) break
    // All options of the daemon take a value.
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

/** Flag of a socket that listens, in /proc/net/unix. */
const LISTENS = 0x10000

function listenerOf(address: string): number | undefined {
  const path = real(address.replace(/^unix:\/\//, ''))
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
