/**
 * Mounts that a program makes: the types `fuse.NAME` and `fuse3.NAME`, which mount.fuse(8) and mount.fuse3 make as containerd
 * calls them (core/mount/mount_linux.go). The options go to the program as they are. Where containerd tries again on ECHILD
 * there is nothing to do here: it comes of a shim that reaps all children itself, and nobody but libuv waits for ours.
 */
import { spawn } from 'node:child_process'
import { LayercastError } from '../errors.ts'
import type { Mount } from './mount-list.ts'

export interface MountHelper {
  program: string
  /** The file system's own program, which the helper starts. */
  name: string
}

const PREFIXES: readonly (readonly [prefix: string, program: string])[] = [
  ['fuse.', 'mount.fuse'],
  ['fuse3.', 'mount.fuse3'],
]
/** Where the helpers are; the PATH of a user may be without. */
const SBIN = ['/usr/local/sbin', '/usr/sbin', '/sbin']
/** What a shell, by which the helper starts the program, answers where there is none. */
const NO_SUCH_PROGRAM = 127
/** A helper answers as soon as its file system is there. */
const LONGEST_MS = 60_000
const MOST_OUTPUT = 4096
const GRACE_MS = 200

/** The program that makes mounts of this type; undefined where the kernel does. */
export function helperOf(type: string): MountHelper | undefined {
  for (const [prefix, program] of PREFIXES) {
    if (type.startsWith(prefix)) return { program, name: type.slice(prefix.length) }
  }
  return undefined
}

/** MOUNT_HELPER_MISSING where a program is not there; SYSTEM_CALL_FAILED with what the helper says. */
export async function mountWithHelper(mount: Mount, { program, name }: MountHelper, target: string): Promise<void> {
  const options = mount.options.flatMap((option) => ['-o', option])
  const { status, output } = await run(program, [mount.source, target, ...options, '-t', name])
  if (status === 0) return
  const what = `${mount.type} mount of ${mount.source} at ${target}`
  if (status === 'missing') throw missing(mount.type, program)
  if (status === NO_SUCH_PROGRAM) throw missing(mount.type, name)
  const why = status === 'late' ? `no answer in ${LONGEST_MS / 1000} s` : output || `status ${status}`
  throw new LayercastError('SYSTEM_CALL_FAILED', `${program} failed on ${JSON.stringify(what)}: ${why}`, {
    detail: { call: program, status, path: what },
    fix: `See what ${program} says; it needs /dev/fuse, and room for a process that stays.`,
  })
}

function missing(type: string, program: string): LayercastError {
  return new LayercastError(
    'MOUNT_HELPER_MISSING',
    `mounts of type ${type} are made by the program ${program}, which is not on this node`,
    { fix: `Install ${program}, as where containerd runs, and run again.`, detail: { type, program } },
  )
}

interface Answer {
  status: number | string
  output: string
}

function run(program: string, args: readonly string[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const PATH = [process.env['PATH'] ?? '/usr/bin:/bin', ...SBIN].join(':')
    const child = spawn(program, args, { env: { ...process.env, PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, LONGEST_MS)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = `${output}${text}`.slice(0, MOST_OUTPUT)))
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error.code === 'ENOENT') resolve({ status: 'missing', output })
      else reject(error)
    })
    const end = (code: number | null, signal: string | null): void => {
      clearTimeout(timer)
      child.stdout.destroy()
      child.stderr.destroy()
      resolve({ status: isLate ? 'late' : (code ?? signal ?? 'ended'), output: output.trim() })
    }
    child.on('close', end)
    // The file system's process stays, and may hold the pipes: what the helper itself said is there soon.
    child.on('exit', (code, signal) => setTimeout(end, GRACE_MS, code, signal))
  })
}
