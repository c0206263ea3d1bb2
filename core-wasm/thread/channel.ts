/**
 * What the two threads share: a ring of slots for the compressed bytes, and a ring of places and lengths for the decompressed
 * ones, which stay where the core has written them, in a memory that both threads see. To copy them would cost a sixth of the
 * time, since their cache lines would go from one processor to the other and back.
 */
import type { CoreCode } from '../errors.ts'
import type { Format } from '../options.ts'

/** Compressed bytes come in pieces as they are read. A few slots are enough to keep the other thread from waiting. */
const INPUT_SLOTS = 8
const INPUT_SLOT = 0x10000
/** How many views of its output the core keeps intact while it makes the next, so that an owner that wakes late loses nothing. */
export const KEPT_VIEWS = 4
const VIEWS = KEPT_VIEWS + 1

/**
 * The words in the head of the ring. Counts of slots filled and emptied only grow; TO_DECODER and TO_OWNER are raised to wake the
 * side that waits on them.
 */
const INPUT_FILLED = 0
const INPUT_EMPTIED = 1
const INPUT_ENDED = 2
const OUTPUT_FILLED = 3
const OUTPUT_EMPTIED = 4
const OUTPUT_ENDED = 5
const CANCELLED = 6
const TO_DECODER = 7
const TO_OWNER = 8
const INPUT_LENGTHS = 16
const OUTPUT_STARTS = INPUT_LENGTHS + INPUT_SLOTS
const OUTPUT_LENGTHS = OUTPUT_STARTS + VIEWS
const HEAD = (OUTPUT_LENGTHS + VIEWS) * 4

/** What is handed to a decoding thread when it starts. */
export interface Shared {
  /** The ring of compressed bytes, and the counts. */
  readonly ring: SharedArrayBuffer
  /** The memory of the thread's core, and the core. */
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
}

/** A stream to decompress, as the thread is told of it. */
export interface Job {
  format: Format
  limit: number
}

/** How a stream ended, as the thread answers. */
export type DecodeOutcome =
  | { ok: true }
  | { ok: false; code: CoreCode; detail?: string | undefined }
  | { ok: false; message: string }

/** The smallest and the largest size of the core's memory, as it was built (asconfig.json), in pages of 64 KB. */
const PAGES = { initial: 28, maximum: 2112 }

export function share(module: WebAssembly.Module): Shared {
  return {
    ring: new SharedArrayBuffer(HEAD + INPUT_SLOTS * INPUT_SLOT),
    memory: new WebAssembly.Memory({ ...PAGES, shared: true }),
    module,
  }
}

/** What both sides do. A slot belongs to the side that fills it until that side raises the count, and then to the other side. */
class Side {
  protected readonly head: Int32Array
  readonly #ring: Uint8Array

  constructor({ ring }: Shared) {
    this.head = new Int32Array(ring, 0, HEAD / 4)
    this.#ring = new Uint8Array(ring, HEAD)
  }

  protected get(index: number): number {
    return Atomics.load(this.head, index)
  }

  protected inputSlot(count: number): Uint8Array {
    const at = (count % INPUT_SLOTS) * INPUT_SLOT
    return this.#ring.subarray(at, at + INPUT_SLOT)
  }

  protected wake(index: number): void {
    Atomics.add(this.head, index, 1)
    Atomics.notify(this.head, index)
  }
}

/** The side of the caller, which gives compressed bytes and takes decompressed ones. It never blocks. */
export class OwnerSide extends Side {
  readonly #memory: WebAssembly.Memory

  constructor(shared: Shared) {
    super(shared)
    this.#memory = shared.memory
  }

  /** Begins a stream. The other side must have ended the one before. */
  reset(): void {
    this.head.fill(0)
  }

  /** Puts as many of the bytes as fit into one slot, and returns how many: 0 when no slot is free. */
  offer(bytes: Uint8Array): number {
    const filled = this.get(INPUT_FILLED)
    if (filled - this.get(INPUT_EMPTIED) === INPUT_SLOTS) return 0
    const taken = Math.min(bytes.length, INPUT_SLOT)
    this.inputSlot(filled).set(bytes.subarray(0, taken))
    this.head[INPUT_LENGTHS + (filled % INPUT_SLOTS)] = taken
    Atomics.store(this.head, INPUT_FILLED, filled + 1)
    this.wake(TO_DECODER)
    return taken
  }

  /** Says that no more compressed bytes come. */
  end(): void {
    Atomics.store(this.head, INPUT_ENDED, 1)
    this.wake(TO_DECODER)
  }

  /** Says that the rest is not wanted. */
  cancel(): void {
    Atomics.store(this.head, CANCELLED, 1)
    this.wake(TO_DECODER)
  }

  /** The next decompressed bytes, valid until `take` is called; undefined where there are none yet. */
  peek(): Uint8Array | undefined {
    const emptied = this.get(OUTPUT_EMPTIED)
    if (emptied === this.get(OUTPUT_FILLED)) return undefined
    const slot = emptied % VIEWS
    return new Uint8Array(this.#memory.buffer, this.head[OUTPUT_STARTS + slot], this.head[OUTPUT_LENGTHS + slot])
  }

  /** Gives the bytes of `peek` back. */
  take(): void {
    Atomics.add(this.head, OUTPUT_EMPTIED, 1)
    this.wake(TO_DECODER)
  }

  /** Whether the other side has ended: there is no more output than it has filled so far. */
  get ended(): boolean {
    return this.get(OUTPUT_ENDED) === 1
  }

  /** For `changed`. Read it before `offer` and `peek`, so that nothing that happens after them is missed. */
  get seen(): number {
    return this.get(TO_OWNER)
  }

  /** Resolves when the other side has done something since `seen`. */
  async changed(seen: number): Promise<void> {
    await Atomics.waitAsync(this.head, TO_OWNER, seen).value
  }
}

/** Thrown within the decoding thread when the rest is not wanted. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled'
}

/** The side of the decoding thread. It blocks, because the thread has nothing else to do. */
export class DecoderSide extends Side {
  /** The compressed bytes, slot by slot, each valid until the next is asked for. */
  *input(): Generator<Uint8Array> {
    for (let emptied = 0; ; emptied++) {
      const count = emptied
      this.#until(() => this.get(INPUT_FILLED) > count || this.get(INPUT_ENDED) === 1)
      if (this.get(INPUT_FILLED) === emptied) return
      yield this.inputSlot(emptied).subarray(0, this.head[INPUT_LENGTHS + (emptied % INPUT_SLOTS)])
      Atomics.store(this.head, INPUT_EMPTIED, emptied + 1)
      // Waking the other side takes some microseconds, so it is not done for every slot.
      if (this.get(INPUT_FILLED) - emptied <= INPUT_SLOTS / 2) this.wake(TO_OWNER)
    }
  }

  /** Announces decompressed bytes in the core's memory, and waits until the core may make more. */
  give(bytes: Uint8Array): void {
    const filled = this.get(OUTPUT_FILLED)
    const slot = filled % VIEWS
    this.head[OUTPUT_STARTS + slot] = bytes.byteOffset
    this.head[OUTPUT_LENGTHS + slot] = bytes.length
    Atomics.store(this.head, OUTPUT_FILLED, filled + 1)
    // For one view alone the other side is not woken: it would soon sleep again.
    if (filled + 1 - this.get(OUTPUT_EMPTIED) >= KEPT_VIEWS / 2) this.wake(TO_OWNER)
    this.#until(() => filled + 1 - this.get(OUTPUT_EMPTIED) <= KEPT_VIEWS)
  }

  /** Says that the stream has ended. */
  end(): void {
    Atomics.store(this.head, OUTPUT_ENDED, 1)
    this.wake(TO_OWNER)
  }

  #until(holds: () => boolean): void {
    for (;;) {
      const seen = this.get(TO_DECODER)
      if (this.get(CANCELLED) === 1) throw new Cancelled('the rest is not wanted')
      if (holds()) return
      // The owner may be waiting for a slot or a view of which it was not woken.
      this.wake(TO_OWNER)
      Atomics.wait(this.head, TO_DECODER, seen)
    }
  }
}
