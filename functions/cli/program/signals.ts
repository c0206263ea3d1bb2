/** SIGINT, SIGTERM and SIGHUP. */

import { LayercastError } from '../../errors.ts'

/** The exit statuses by which a shell tells that a signal ended a program: 128 and the signal's number. */
const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const NAMES = Object.keys(STATUS) as (keyof typeof STATUS)[]

export interface Signals {
  /** Aborted at the first of the signals. */
  signal: AbortSignal
  /** The exit status of the first signal; undefined while there was none. */
  readonly status: number | undefined
  /** Stops listening. */
  stop(): void
}

/** Listens for signals: the first tells the verb to end and clean up, the second ends the program at once. */
export function onSignals(process: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>): Signals {
  const controller = new AbortController()
  let status: number | undefined
  const listeners = NAMES.map((name) => {
    const listener = (): void => {
      if (status !== undefined) process.exit(STATUS[name])
      status = STATUS[name]
      controller.abort(new LayercastError('ABORTED', `stopped by ${name}`))
    }
    process.on(name, listener)
    return { name, listener }
  })
  return {
    signal: controller.signal,
    get status() {
      return status
    },
    stop: () => {
      for (const { name, listener } of listeners) process.off(name, listener)
    },
  }
}

/**
 * Does work, and removes the signal listeners that packages add meanwhile: theirs would end the program before the verb has
 * cleaned up. Their listeners for `exit` stay.
 */
export async function keepingSignals<T>(work: () => Promise<T>): Promise<T> {
  const before = new Map(NAMES.map((name) => [name, new Set(process.listeners(name))]))
  const result = await work()
  for (const name of NAMES) {
    for (const listener of process.listeners(name)) {
      if (!before.get(name)?.has(listener)) process.off(name, listener)
    }
  }
  return result
}
