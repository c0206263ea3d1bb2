/** Starts a program in the background and waits until it is ready. */
import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

const START_MS = 30_000

export interface DaemonOptions {
  program: string
  args: readonly string[]
  cwd: string
  env?: Record<string, string>
  /** Whether the daemon is up, judged by what it wrote since it was started. */
  ready: (log: string) => boolean | Promise<boolean>
}

/** A program that runs beside the tests, in a process group of its own, and dies with them. */
export class Daemon {
  readonly #options: DaemonOptions
  #process: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  /** All that it wrote. */
  log = ''

  constructor(options: DaemonOptions) {
    this.#options = options
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** Starts it and waits until it is ready; throws with its log when it ends or takes longer than so many milliseconds. */
  async start(atMostMs = START_MS): Promise<void> {
    const { program, args, cwd, env, ready } = this.#options
    const begin = this.log.length
    // So that the kernel kills it when this process is killed.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.#process = child
    let ended = false
    this.#ended = new Promise((resolve) => {
      const done = (): void => {
        ended = true
        resolve()
      }
      child.on('exit', done)
      child.on('error', (error) => {
        this.log += `${error}\n`
        done()
      })
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.log += text))
    }
    for (const deadline = Date.now() + atMostMs; !(await ready(this.log.slice(begin))); await sleep(10)) {
      if (ended || Date.now() > deadline) throw new Error(`${program} did not start:\n${this.log.slice(begin)}`)
    }
  }

  /** Kills it and its process group, as a power cut would. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGKILL')
    }
    await this.#ended
  }
}
