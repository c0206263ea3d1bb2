/** One run of the program, from a command line to an exit status. */

import { LayercastError } from '../../errors.ts'
import { LONGEST_TIMER_MS } from '../../kit/pause.ts'
import { write, type Streams } from './console.ts'
import { createContext } from './context.ts'
import { asLayercastError, renderError } from './failure.ts'
import { parse } from './parser.ts'
import { onSignals } from './signals.ts'
import { seconds } from './values.ts'
import type { Verb } from './verb.ts'
import { version } from './version.ts'

/** Longer than a verb's own clean-up may take, whose calls are bounded. */
const GRACE_MS = 12_000

/** The parts of the process that a run uses. */
export interface Host {
  env: Readonly<Record<string, string | undefined>>
  streams: Streams
  stdin: AsyncIterable<Uint8Array>
  process: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>
}

/**
 * Runs one command line and gives the exit status (README, "Exit statuses"). Never rejects.
 *
 * @param argv what follows the program's name
 * @param verbs what the program can do
 */
export async function run(argv: readonly string[], verbs: readonly Verb[], host: Host): Promise<number> {
  const { streams } = host
  const interrupted = onSignals(host.process)
  const output = onOutputLost(streams)
  let json = wantsJSON(argv)
  let verbose = argv.includes('--verbose')
  let deadline: Deadline | undefined
  let lastResort: NodeJS.Timeout | undefined
  try {
    const parsed = parse(argv, { verbs, version, env: host.env, columns: columnsOf(streams) })
    if ('print' in parsed) {
      await write(streams.stdout, parsed.print)
      return 0
    }
    json = parsed.globals.output === 'json'
    verbose = parsed.globals.verbose
    deadline = startDeadline(parsed.globals.timeout)
    const signal = AbortSignal.any([interrupted.signal, output.signal, deadline.signal])
    const how = { json, verbose, status: () => interrupted.status }
    signal.addEventListener('abort', () => (lastResort = endAnyway(host, how)), { once: true })
    const { context, close } = createContext({
      ...host,
      globals: parsed.globals,
      makesPlace: parsed.verb.makesPlace ?? false,
      signal,
    })
    try {
      await parsed.verb.run(context, parsed)
    } finally {
      await close()
    }
    if (output.signal.aborted) throw output.signal.reason
    // Also after a signal: a server that was stopped, or work that was done by then, has not failed.
    return 0
  } catch (error) {
    // A reader that closed the pipe has what it wanted: `layercast image ls | head -1` is no failure.
    if (output.isUnread) return 0
    if (interrupted.status !== undefined && isAbort(error)) {
      streams.stderr.write(renderError(asStopped(error), { json, verbose, exit: interrupted.status }))
      return interrupted.status
    }
    if (deadline?.signal.aborted && isAbort(error)) {
      const failure = timedOut(deadline.after, error)
      streams.stderr.write(renderError(failure, { json, verbose }))
      return failure.exit
    }
    // Where the output was lost, that is the failure; the verb's own error only says that it was stopped.
    const failure = asLayercastError(output.signal.aborted ? output.signal.reason : error)
    streams.stderr.write(renderError(failure, { json, verbose }))
    return failure.exit
  } finally {
    interrupted.stop()
    output.stop()
    deadline?.stop()
    clearTimeout(lastResort)
  }
}

interface Deadline {
  signal: AbortSignal
  /** As the user gave it. */
  after: string
  stop(): void
}

/** A signal that is aborted when the time of --timeout is up; never where none is given. USAGE. */
function startDeadline(timeout: string | undefined): Deadline {
  const controller = new AbortController()
  if (timeout === undefined) return { signal: controller.signal, after: '', stop: () => undefined }
  const ms = seconds('--timeout', timeout) * 1000
  // A longer one would overflow the timer and fire at once.
  const timer = setTimeout(() => controller.abort(timedOut(timeout)), Math.min(ms, LONGEST_TIMER_MS))
  return { signal: controller.signal, after: timeout, stop: () => clearTimeout(timer) }
}

function timedOut(after: string, cause?: unknown): LayercastError {
  const cleanup = cause instanceof LayercastError ? cause.detail['cleanup'] : undefined
  const left = Array.isArray(cleanup) && cleanup.length > 0 ? `; ${cleanup.join('; ')}` : ''
  return new LayercastError('TIMED_OUT', `not done within ${after}, and stopped${left}`, {
    cause,
    fix: 'See what it waited for (--verbose), and run the same command again, with a longer --timeout where it is only slow.',
    detail: { timeout: after, ...(cleanup !== undefined && { cleanup }) },
  })
}

/** Ends the program some time after it was told to stop, so that a clean-up that hangs does not need a second signal. */
function endAnyway(
  { process, streams }: Host,
  how: { json: boolean; verbose: boolean; status: () => number | undefined },
): NodeJS.Timeout {
  return setTimeout(() => {
    const failure = new LayercastError('ABORTED', `stopped, and not done with cleaning up after ${GRACE_MS / 1000} s`, {
      fix: 'Run layercast verify on the image: it says what is half made, and the next run clears it away.',
    })
    const exit = how.status() ?? failure.exit
    streams.stderr.write(renderError(failure, { ...how, exit }))
    process.exit(exit)
  }, GRACE_MS)
}

/** A signal that is aborted when output cannot be written: its reader has closed the pipe, or the disk is full. */
function onOutputLost({ stdout, stderr }: Streams): { signal: AbortSignal; readonly isUnread: boolean; stop(): void } {
  const controller = new AbortController()
  let isUnread = false
  const listener = (error: NodeJS.ErrnoException): void => {
    isUnread ||= error.code === 'EPIPE' && !controller.signal.aborted
    controller.abort(isUnread ? new LayercastError('ABORTED', 'nobody reads the output any more') : error)
  }
  stdout.on('error', listener)
  stderr.on('error', listener)
  return {
    signal: controller.signal,
    get isUnread() {
      return isUnread
    },
    stop: () => {
      stdout.off('error', listener)
      stderr.off('error', listener)
    },
  }
}

/** The error of a run that a signal ended: the verb's own, where it threw one. */
function asStopped(error: unknown): LayercastError {
  if (error instanceof LayercastError) return error
  return new LayercastError('ABORTED', 'stopped before it was done', {
    cause: error,
    fix: 'Run the same command again.',
  })
}

function isAbort(error: unknown): boolean {
  return (
    (error instanceof LayercastError && error.code === 'ABORTED') ||
    (error instanceof Error && error.name === 'AbortError')
  )
}

/** Whether a command line asks for JSON: also of one that does not parse, whose error is printed as it asks. */
function wantsJSON(argv: readonly string[]): boolean {
  return argv.some(
    (word, index) =>
      word === '-ojson' ||
      word === '--output=json' ||
      (word === 'json' && ['-o', '--output'].includes(argv[index - 1] ?? '')),
  )
}

function columnsOf({ stdout }: Streams): number {
  return Math.min(stdout.columns || 100, 120)
}
