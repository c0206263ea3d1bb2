// Instances of the core. Each has a memory of its own, so streams cannot meet.
import { coreModule } from '#core-module'

interface Exports {
  readonly memory: WebAssembly.Memory
  inputAddress(): number
  inputLimit(): number
  inputRoom(): number
  supply(end: number, ended: number): void
  outputFrom(): number
  outputTo(): number
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
  #bytes: Uint8Array<ArrayBuffer>

  constructor(module: WebAssembly.Module) {
    this.core = new WebAssembly.Instance(module).exports as unknown as Exports
    this.#bytes = new Uint8Array(this.core.memory.buffer as ArrayBuffer)
  }

  /** The memory. Asked for anew after every step: growing it makes another one. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.core.memory.buffer as ArrayBuffer)
    return this.#bytes
  }
}

/** How many idle instances are kept, and how large their memory may be: a wide zstd window is given back. */
const IDLE_MAX = 4
const IDLE_BYTES_MAX = 0x1000000

let module: WebAssembly.Module | undefined
const idle: Instance[] = []

/** An instance that nobody else uses. Give it back with `release`. */
export function acquire(): Instance {
  module ??= coreModule()
  return idle.pop() ?? new Instance(module)
}

export function release(instance: Instance): void {
  if (idle.length < IDLE_MAX && instance.bytes.length <= IDLE_BYTES_MAX) idle.push(instance)
}
