/** Decompression on another thread, as the caller sees it: threads that are kept, and the loop that feeds one. */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { CoreError } from '../errors.ts'
import type { Bytes, DecompressOptions } from '../options.ts'
import { OwnerSide, share, type Job, type DecodeOutcome } from './channel.ts'

/** A thread that decodes one stream at a time. While idle it keeps no process alive. */
class DecodingThread {
  readonly side: OwnerSide
  readonly #worker: Worker
  #outcome: PromiseWithResolvers<DecodeOutcome> | undefined

  constructor(module: WebAssembly.Module) {
    const shared = share(module)
    this.side = new OwnerSide(shared)
    this.#worker = new Worker(createRequire(import.meta.url).resolve('#decode-worker'), {
      workerData: shared,
      // Without the program's own flags and loaders, each of which would cost its start again.
      execArgv: [],
      name: 'layercast-decode',
    })
    this.#worker.unref()
    this.#worker.on('message', (outcome: DecodeOutcome) => this.#outcome?.resolve(outcome))
    this.#worker.on('error', (cause) => this.#fail(cause))
    this.#worker.on('exit', () => this.#fail(undefined))
  }

  /** Begins a stream. The promise resolves at its end, or rejects where the thread itself has ended. */
  start(job: Job): Promise<DecodeOutcome> {
    this.side.reset()
    this.#worker.ref()
    this.#outcome = Promise.withResolvers<DecodeOutcome>()
    this.#worker.postMessage(job)
    return this.#outcome.promise
  }

  /** Lets the process end while the thread is idle. */
  rest(): void {
    this.#worker.unref()
  }

  #fail(cause: unknown): void {
    this.#outcome?.reject(new Error('the decoding thread has ended', { cause }))
  }
}

/** How many idle threads are kept: a process seldom decodes more than a few layers at a time. */
const IDLE_MAX = 4
const idle: DecodingThread[] = []

type Source = AsyncIterator<Uint8Array> | Iterator<Uint8Array>

/** Passes a source on to a decoding thread, one piece ahead, so that one Promise.race waits for the source and for the thread. */
class Feed {
  readonly #source: Source
  #next: IteratorResult<Uint8Array> | undefined
  #coming: Promise<void> | undefined
  /** What is left of the present piece. */
  #rest: Uint8Array | undefined
  #ended = false

  constructor(source: Bytes) {
    this.#source = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  }

  /** Passes on what there is, and never waits. Returns whether something changed, so that there may be more to pass on. */
  pass(side: OwnerSide): boolean {
    if (this.#ended) return false
    this.#pull()
    if (this.#rest === undefined && this.#next !== undefined) {
      if (this.#next.done === true) {
        this.#ended = true
        side.end()
      } else {
        if (this.#next.value.length > 0) this.#rest = this.#next.value
        this.#next = undefined
      }
      return true
    }
    const taken = this.#rest === undefined ? 0 : side.offer(this.#rest)
    if (this.#rest === undefined || taken === 0) return false
    this.#rest = taken < this.#rest.length ? this.#rest.subarray(taken) : undefined
    return true
  }

  /** Resolves when the next piece is there; undefined where the thread must take something first, or the source has ended. */
  get coming(): Promise<void> | undefined {
    return this.#rest === undefined ? this.#coming : undefined
  }

  async stop(): Promise<void> {
    if (this.#next?.done === true) return
    const stopped = Promise.resolve(this.#source.return?.())
    if (this.#coming === undefined) await stopped
    // The source may be waiting for something that never comes, so it is told to stop, and not waited for.
    else stopped.catch(() => undefined)
  }

  #pull(): void {
    if (this.#next !== undefined || this.#coming !== undefined) return
    const result = this.#source.next()
    if (!(result instanceof Promise)) {
      this.#next = result
      return
    }
    this.#coming = this.#arrive(result)
    // A failure is thrown where `coming` is awaited; until then it must not count as unhandled.
    this.#coming.catch(() => undefined)
  }

  async #arrive(result: Promise<IteratorResult<Uint8Array>>): Promise<void> {
    this.#next = await result
    this.#coming = undefined
  }
}

/**
 * Decompresses what comes from `source` on another thread. Yields views that are valid until the next is asked for.
 * Errors: CoreError, and those of the source.
 * @param module returns the core whose memory is shared; called for each new thread
 */
export async function* decodeInThread(
  source: Bytes,
  { format, limit }: DecompressOptions,
  module: () => WebAssembly.Module,
): AsyncGenerator<Uint8Array, void, undefined> {
  const thread = idle.pop() ?? new DecodingThread(module())
  const { side } = thread
  const outcome = thread.start({ format, limit: limit ?? Number.POSITIVE_INFINITY })
  outcome.catch(() => undefined)
  const feed = new Feed(source)
  try {
    for (;;) {
      // Read before anything is looked at, so that nothing that happens meanwhile is missed.
      const { seen } = side
      if (feed.pass(side)) continue
      const done = side.ended
      const view = side.peek()
      if (view !== undefined) {
        yield view
        side.take()
        continue
      }
      if (done) break
      const changed = Promise.race([side.changed(seen), outcome])
      await (feed.coming === undefined ? changed : Promise.race([changed, feed.coming]))
    }
    const answer = await outcome
    if (!answer.ok) throw 'code' in answer ? new CoreError(answer.code, answer) : new Error(answer.message)
  } finally {
    side.cancel()
    await settled(outcome, thread)
    await feed.stop()
  }
}

/** Waits for the end of the stream, and keeps the thread for another one, unless the thread itself has died. */
async function settled(outcome: Promise<DecodeOutcome>, thread: DecodingThread): Promise<void> {
  try {
    await outcome
  } catch {
    return
  }
  thread.rest()
  if (idle.length < IDLE_MAX) idle.push(thread)
}
