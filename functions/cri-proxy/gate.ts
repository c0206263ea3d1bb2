/** The two calls of CRI that wait until what they need is ready. */
import { fromBinary } from '@bufbuild/protobuf'
import { hasCode, LayercastError } from '../errors.ts'
import { messageOf } from '../kit/cleanup.ts'
import { pause } from '../kit/pause.ts'
import type { Connection } from '../node/containerd/connection.ts'
import type { Call, Verdict } from './link.ts'
import {
  CreateContainerRequestSchema,
  RunPodSandboxRequestSchema,
  RunPodSandboxResponseSchema,
  RuntimeService,
} from './proto/gen/cri_pb.js'
import type { Made, Readiness } from './readiness.ts'

/** gRPC's status code for what cannot be done in the present state. */
const FAILED_PRECONDITION = 9
/** What is left of a call's own deadline for containerd, in milliseconds. */
const LEFT_FOR_CONTAINERD_MS = 2000
/** Sandboxes whose handler is remembered; a node has some hundreds. */
const MOST_SANDBOXES = 10_000
/** A pod's sandbox is asked about at most so long. */
const STATUS_MS = 5000

export interface GateOptions {
  readiness: Readiness
  /** The image of sandboxes, as CRI names it; undefined where it cannot be found. */
  sandboxImage(): Promise<string | undefined>
  /** A connection for CRI's own calls. */
  cri: Pick<Connection, 'client' | 'call'>
  /** For how long a call waits at most, in milliseconds. */
  budgetMs: number
  /** Whether a call whose image could not be made ready goes on all the same. */
  onFailure: 'pass' | 'refuse'
  onReady(event: ReadyEvent): void
  onFailed(event: FailedEvent): void
}

export interface Waited {
  /** `RunPodSandbox` or `CreateContainer`. */
  method: string
  handler: string | undefined
  /** As the call named it. */
  image: string | undefined
  /** How long the call waited. */
  ms: number
}

export interface ReadyEvent extends Waited {
  made: Made
}

export interface FailedEvent extends Waited {
  error: unknown
  /** Whether the call was refused; it goes on otherwise. */
  refused: boolean
}

const GATED = /^\/runtime\.v1(?:alpha2)?\.RuntimeService\/(RunPodSandbox|CreateContainer)$/

/** Whether calls of this path wait. */
export function isGated(path: string): boolean {
  return GATED.test(path)
}

export class Gate {
  readonly #options: GateOptions
  /** Runtime handlers by sandbox ID. */
  readonly #handlers = new Map<string, string>()

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Waits until what the call needs is ready, or its budget is used up. Never rejects. */
  async wait(call: Call, message: Uint8Array, signal: AbortSignal): Promise<Verdict> {
    const { budgetMs, onFailure, onReady, onFailed } = this.#options
    const method = GATED.exec(call.method)?.[1] ?? call.method
    const started = performance.now()
    const waited: Waited = { method, handler: undefined, image: undefined, ms: 0 }
    const limit = Math.min(budgetMs, Math.max(0, (call.timeoutMs ?? Infinity) - LEFT_FOR_CONTAINERD_MS))
    const done = new AbortController()
    let work: Promise<Made | undefined> | undefined
    try {
      work = method === 'RunPodSandbox' ? this.#sandbox(message, waited) : this.#container(message, waited)
      const end = AbortSignal.any([signal, done.signal])
      const made = await Promise.race([work.then((value) => ({ value })), timeUp(limit, end)])
      // What is being made goes on also where nobody waits for it any more; its end is told then.
      if (made === undefined) void this.#tellLater(work, waited, started)
      else if (made.value !== undefined) onReady({ ...waited, made: made.value, ms: performance.now() - started })
      return { pass: true }
    } catch (error) {
      if (work !== undefined && hasCode(error, 'TIMED_OUT')) void this.#tellLater(work, waited, started)
      const refused = onFailure === 'refuse'
      onFailed({ ...waited, error, refused, ms: performance.now() - started })
      return refused ? { pass: false, status: FAILED_PRECONDITION, message: refusalText(error) } : { pass: true }
    } finally {
      done.abort()
    }
  }

  /** Remembers which handler a new sandbox has. */
  answered(call: Call, request: Uint8Array, answer: Uint8Array): void {
    if (!call.method.endsWith('/RunPodSandbox')) return
    const { runtimeHandler } = fromBinary(RunPodSandboxRequestSchema, request)
    const { podSandboxId } = fromBinary(RunPodSandboxResponseSchema, answer)
    this.#remember(podSandboxId, runtimeHandler)
  }

  async #tellLater(work: Promise<Made | undefined>, waited: Waited, started: number): Promise<void> {
    const { onReady, onFailed } = this.#options
    try {
      const made = await work
      if (made !== undefined) onReady({ ...waited, made, ms: performance.now() - started })
    } catch (error) {
      onFailed({ ...waited, error, refused: false, ms: performance.now() - started })
    }
  }

  async #sandbox(message: Uint8Array, waited: Waited): Promise<Made | undefined> {
    const { runtimeHandler } = fromBinary(RunPodSandboxRequestSchema, message)
    waited.handler = runtimeHandler
    waited.image = await this.#options.sandboxImage()
    if (waited.image === undefined) return undefined
    return await this.#options.readiness.ensure(runtimeHandler, waited.image)
  }

  async #container(message: Uint8Array, waited: Waited): Promise<Made | undefined> {
    const { podSandboxId, config } = fromBinary(CreateContainerRequestSchema, message)
    waited.image = config?.image?.image
    if (waited.image === undefined || waited.image === '') return undefined
    waited.handler = await this.#handlerOf(podSandboxId)
    return await this.#options.readiness.ensure(waited.handler, waited.image, config?.image?.userSpecifiedImage)
  }

  async #handlerOf(podSandboxId: string): Promise<string> {
    const known = this.#handlers.get(podSandboxId)
    if (known !== undefined) return known
    const { cri } = this.#options
    const { status } = await cri.call('ask CRI for a sandbox', () =>
      cri.client(RuntimeService).podSandboxStatus({ podSandboxId }, { timeoutMs: STATUS_MS }),
    )
    const handler = status?.runtimeHandler ?? ''
    this.#remember(podSandboxId, handler)
    return handler
  }

  #remember(podSandboxId: string, handler: string): void {
    const [oldest] = this.#handlers.keys()
    if (this.#handlers.size >= MOST_SANDBOXES && oldest !== undefined) this.#handlers.delete(oldest)
    this.#handlers.set(podSandboxId, handler)
  }
}

/** Rejects with TIMED_OUT after so long, unless the signal fires, after which nobody waits. */
async function timeUp(ms: number, signal: AbortSignal): Promise<undefined> {
  await pause(ms, signal)
  // Fired: the call is over, or has what it needs.
  if (signal.aborted) return undefined
  throw new LayercastError(
    'TIMED_OUT',
    `it was not ready within ${Math.round(ms / 1000)} s, and is made ready all the same`,
    {
      fix: 'Give --budget more time, or make the image ready ahead of its pods: layercast unpack IMAGE --runtime-handler HANDLER.',
    },
  )
}

function refusalText(error: unknown): string {
  if (!(error instanceof LayercastError)) return messageOf(error)
  return `layercast: ${error.message}${error.fix === undefined ? '' : `. ${error.fix}`} [${error.code}]`
}
