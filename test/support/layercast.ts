/** Runs the program as a user does: through the launcher, as a process of its own. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const LAUNCHER = fileURLToPath(new URL('../../functions/cli/layercast.sh', import.meta.url))

export interface Ran {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: Buffer
  stderr: string
}

export interface RunOptions {
  env?: Record<string, string>
  cwd?: string
  stdin?: string | Uint8Array
  /** How the launcher is called; itself if absent. */
  launcher?: string
}

/** Runs `layercast ...args` to its end. The variables that steer it are taken out of the environment first. */
export async function layercast(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = start(args, options)
  child.stdin.on('error', (error: NodeJS.ErrnoException) => {
    // A program that ends before it has read its stdin is for the test to judge, not for the pipe.
    if (error.code !== 'EPIPE') throw error
  })
  child.stdin.end(options.stdin ?? '')
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, by) => resolve([code, by]))
  })
  return { status, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** Starts `layercast ...args` and leaves it running: the caller ends it. */
export function start(args: readonly string[], { env = {}, cwd, launcher = LAUNCHER }: RunOptions = {}) {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !/^(?:CONTAINERD_|LAYERCAST_|NODE_OPTIONS|NO_COLOR)/u.test(key),
  )
  return spawn(launcher, args, {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
  })
}

/** The error that `-o json` puts on stderr, as its last line. */
export function errorOf({ stderr }: Ran): {
  code: string
  message: string
  fix?: string
  exit: number
  detail: unknown
} {
  const last = stderr.trimEnd().split('\n').at(-1) ?? ''
  return (JSON.parse(last) as { error: ReturnType<typeof errorOf> }).error
}
