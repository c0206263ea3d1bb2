/** Runs the programs of CRI's clients. */
import { spawn } from 'node:child_process'

export interface Ran {
  status: number | null
  stdout: string
  stderr: string
}

export interface Running {
  /** What it has written so far. */
  stdout(): string
  /** Ends it by SIGINT. */
  stop(): void
  ended: Promise<Ran>
}

/** Starts a program, with its temporary files in its directory. @param until ends it once its standard output is so */
export function startProgram(
  program: string,
  args: readonly string[],
  { cwd, until }: { cwd: string; until?: ((stdout: string) => boolean) | undefined },
): Running {
  const child = spawn(program, args, { cwd, env: { ...process.env, TMPDIR: cwd }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ran: Ran = { status: null, stdout: '', stderr: '' }
  const stop = (): void => void child.kill('SIGINT')
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ran.stdout += text
    if (until?.(ran.stdout) === true) stop()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ran.stderr += text))
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ ...ran, status }))
  })
  return { stdout: () => ran.stdout, stop, ended }
}

/** Runs a program to its end. */
export function runProgram(program: string, args: readonly string[], cwd: string): Promise<Ran> {
  return startProgram(program, args, { cwd }).ended
}
