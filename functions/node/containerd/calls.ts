/** Stops the calls to a daemon that does not answer, and tells of its silence. */
import { LayercastError } from '../../errors.ts'

/** What a run asks of all its calls. */
export interface CallOptions {
  /** Once it is aborted, running calls get 2 seconds to end, and the calls that clean up 8 seconds in all. */
  signal?: AbortSignal | undefined
  /** Called for a call without an answer: after 5 s, 5 s more, then each time after twice as long. `doing` as in "cannot <doing>". */
  onSilence?: ((doing: string, seconds: number) => void) | undefined
}

/** For running calls: the answer tells what the daemon made, so that it can be removed. */
const LET_END_MS = 2_000
/** For all calls after the signal, which remove what was half made. */
const CLEANUP_MS = 8_000
/** Seconds of silence before `onSilence` is called for the first time. */
const FIRST_WORD_S = 5

/** The calls of one session. */
export class Calls {
  readonly #signal: AbortSignal | undefined
  readonly #onSilence: CallOptions['onSilence']
  readonly #letEnd = new AbortController()
  readonly #cleanup = new AbortController()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #onAbort = (): void => this.#start()

  constructor({ signal, onSilence }: CallOptions) {
    this.#signal = signal
    this.#onSilence = onSilence
    if (signal?.aborted) this.#start()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** The signal that stops a call which begins now; undefined where nothing does. */
  get stop(): AbortSignal | undefined {
    if (this.#signal === undefined) return undefined
    return this.#signal.aborted ? this.#cleanup.signal : this.#letEnd.signal
  }

  /** The error of a call that was stopped: ABORTED. Undefined where nothing was stopped. */
  stopped(doing: string, cause: unknown): LayercastError | undefined {
    if (!this.#letEnd.signal.aborted) return undefined
    return new LayercastError('ABORTED', `cannot ${doing}: containerd had not answered when the time was up`, { cause })
  }

  /** Watches a call until `done` is called. The caller calls `heard` whenever the daemon has sent something. */
  watch(doing: string): { heard(): void; done(): void } {
    const onSilence = this.#onSilence
    if (onSilence === undefined) return { heard: () => undefined, done: () => undefined }
    let timer: NodeJS.Timeout
    let since = performance.now()
    let wait = FIRST_WORD_S
    const arm = (seconds: number): void => {
      // Only the call itself keeps the process alive.
      timer = setTimeout(() => {
        onSilence(doing, Math.round((performance.now() - since) / 1000))
        arm(wait)
        wait *= 2
      }, seconds * 1000).unref()
    }
    arm(wait)
    return {
      heard: () => {
        clearTimeout(timer)
        since = performance.now()
        wait = FIRST_WORD_S
        arm(wait)
      },
      done: () => clearTimeout(timer),
    }
  }

  /** Ends what waits for the signal. */
  close(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #start(): void {
    for (const [controller, ms] of [
      [this.#letEnd, LET_END_MS],
      [this.#cleanup, CLEANUP_MS],
    ] as const) {
      this.#timers.add(setTimeout(() => controller.abort(this.#signal?.reason), ms).unref())
    }
  }
}
