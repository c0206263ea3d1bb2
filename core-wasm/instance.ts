/** Instances of the core, and a store of idle ones. Each instance has a memory of its own, so streams cannot meet. */
import { coreModule } from '#core-module'

interface Exports {
  readonly memory: WebAssembly.Memory
  inputAddress(): number
  inputLimit(): number
  inputRoom(): number
  supply(end: number, ended: number): void
  outputFrom(): number
  outputTo(): number
  keepViews(count: number): void
  gzipStart(): void
  gzipStep(): number
  zstdStart(): void
  zstdStep(): number
  shaStart(): void
  shaBlocks(from: number, blocks: number): void
  shaStateAddress(): number
  laneStart(lane: number): void
  laneRun(a: number, b: number, c: number, d: number, blocks: number): void
  laneStateAddress(): number
  chainBatch(words: number): void
  lengthsAddress(): number
  windowAddress(): number
}

/** An instance, with its memory as bytes. */
export class Instance {
  readonly core: Exports
  readonly memory: WebAssembly.Memory
  readonly #shared: boolean
  #bytes: Uint8Array<ArrayBuffer>

  /** @param memory a memory that is shared between threads; `module` is then the core that is built for one */
  constructor(module: WebAssembly.Module, memory?: WebAssembly.Memory) {
    const imports = memory === undefined ? {} : { env: { memory } }
    this.core = new WebAssembly.Instance(module, imports).exports as unknown as Exports
    this.memory = memory ?? this.core.memory
    this.#shared = memory !== undefined
    this.#bytes = this.#all()
  }

  /** The memory as bytes. Ask again after every step: when the memory grows, its buffer is another one. */
  get bytes(): Uint8Array<ArrayBuffer> {
    // When a memory grows, an array over it becomes empty; over a shared memory it goes on showing the old part alone.
    if (this.#bytes.length === 0 || (this.#shared && this.#bytes.buffer !== this.memory.buffer))
      this.#bytes = this.#all()
    return this.#bytes
  }

  #all(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer)
  }
}

/** How many idle instances are kept, and how large their memory may be: one that grew for a wide zstd window is dropped. */
const IDLE_MAX = 4
const IDLE_BYTES_MAX = 0x1000000

let module: WebAssembly.Module | undefined
const idle: Instance[] = []

/** Whether the core has been compiled. Until then the host's own functions are faster for something small. */
export function isCompiled(): boolean {
  return module !== undefined
}

/** An instance that nobody else uses. Give it back with `release`. */
export function acquire(): Instance {
  module ??= coreModule()
  return idle.pop() ?? new Instance(module)
}

/** Gives an instance back, for the next `acquire`. */
export function release(instance: Instance): void {
  if (idle.length < IDLE_MAX && instance.bytes.length <= IDLE_BYTES_MAX) idle.push(instance)
}
