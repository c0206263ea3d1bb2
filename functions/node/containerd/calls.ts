import { LayercastError } from '../../errors.ts'

/** How a run stands behind the calls that it makes. */
export interface CallOptions {
  /** Once it fires, calls that are under way have a moment to end, and those of the clean-up a bounded time in all. */
  signal?: AbortSignal | undefined
  /** Told of a call that has had no answer for so long, and again ever more rarely. `doing` as in "cannot <doing>". */
  onSilence?: ((doing: string, seconds: number) => void) | undefined
}

/** A call that the daemon is about to answer is let end: what it made is then known, and removed. */
const LET_END_MS = 2_000
/** For all that is called after the signal: what was half made is removed, or told. */
const CLEANUP_MS = 8_000
/** After how many seconds of silence it is told. Every further time after twice as long as the time before. */
const FIRST_WORD_S = 5

/** The calls of one session to a daemon that may never answer: each can be stopped, and its silence is told. */
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

  /** What ends a call that begins now; undefined where nothing does. */
  get stop(): AbortSignal | undefined {
    if (this.#signal === undefined) return undefined
    return this.#signal.aborted ? this.#cleanup.signal : this.#letEnd.signal
  }

  /** The error of a call that was stopped: ABORTED. Undefined where it was not. */
  stopped(doing: string, cause: unknown): LayercastError | undefined {
    if (!this.#letEnd.signal.aborted) return undefined
    return new LayercastError('ABORTED', `cannot ${doing}: containerd had not answered when the time was up`, { cause })
  }

  /** Watches a call until what it gives is called; `heard` is called at every sign of life. */
  watch(doing: string): { heard(): void; done(): void } {
    const onSilence = this.#onSilence
    if (onSilence === undefined) return { heard: () => undefined, done: () => undefined }
    let timer: NodeJS.Timeout
    let since = performance.now()
    let wait = FIRST_WORD_S
    const arm = (seconds: number): void => {
      // It keeps no process alive: the call itself does.
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
