import { LayercastError } from '../../errors.ts'

/** The statuses that a shell gives to a program that a signal ended. */
const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const NAMES = Object.keys(STATUS) as (keyof typeof STATUS)[]

/** What the signals did so far. */
export interface Signals {
  signal: AbortSignal
  /** The exit status of the first one; undefined while there was none. */
  readonly status: number | undefined
  stop(): void
}

/** Listens for the signals that end a program: the first asks the verb to end and clean up; the second does not ask. */
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
 * Does work whose packages listen for signals too, and takes their listeners away again: one that exits the program at
 * once would leave it no time to end as it should. What they do at `exit` stays.
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
