/**
 * One direction of an HTTP/2 connection: bytes go through as they came, and whoever watches is shown the frames that it asks
 * for. Frames may be kept back, and others put in between whole ones.
 */
import { HEADER_BYTES, PREFACE, readHeader, type FrameHeader } from './frames.ts'

export interface FrameWatcher {
  /** Whether the frame's payload is wanted whole, before it goes on; at most `MOST_PAYLOAD` bytes. */
  wants(header: FrameHeader): boolean
  /**
   * The frame that was wanted. Gives what goes on in its place, most often the frame itself (`frame` with its header).
   * Throws where the connection cannot go on.
   */
  seen(header: FrameHeader, payload: Uint8Array, frame: Uint8Array): readonly Uint8Array[]
}

/** The most bytes of a payload that is held whole: SETTINGS_MAX_FRAME_SIZE of gRPC's peers is 16 KiB, and may be raised. */
const MOST_PAYLOAD = 1024 * 1024

export class FramePipe {
  readonly #watcher: FrameWatcher
  readonly #write: (bytes: Uint8Array) => void
  /** Bytes of the preface that are still due. */
  #preface: number
  /** A header, or a frame that is wanted whole, as far as it has come. */
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** The frame that is wanted whole. */
  #wanted: FrameHeader | undefined
  /** Bytes of the present frame that go through unseen. */
  #passing = 0
  #injected: Uint8Array[] = []
  /** Whether a whole frame has gone through: the first of each direction must be SETTINGS (RFC 9113, section 3.4). */
  #begun = false

  /**
   * @param write takes what goes on, in order
   * @param options `preface`: whether the direction begins with a client's preface
   */
  constructor(watcher: FrameWatcher, write: (bytes: Uint8Array) => void, options: { preface: boolean }) {
    this.#watcher = watcher
    this.#write = write
    this.#preface = options.preface ? PREFACE.length : 0
  }

  /** Takes the next bytes. Throws NotHTTP2 for what is no HTTP/2, FrameTooLarge, and what the watcher throws. */
  push(chunk: Buffer): void {
    let at = 0
    if (this.#preface > 0) at = this.#readPreface(chunk)
    /** Where the bytes begin that are to go on as they are. */
    let from = 0
    while (at < chunk.length) {
      if (this.#passing > 0) {
        const count = Math.min(this.#passing, chunk.length - at)
        this.#passing -= count
        at += count
        if (this.#passing === 0) from = this.#endFrame(chunk, from, at)
        continue
      }
      if (this.#wanted === undefined && this.#pendingBytes === 0 && chunk.length - at >= HEADER_BYTES) {
        const header = readHeader(chunk, at)
        const length = HEADER_BYTES + header.length
        if (!this.#watcher.wants(header)) {
          this.#passing = length
          continue
        }
        if (chunk.length - at >= length && header.length <= MOST_PAYLOAD) {
          // Frames that go on unchanged stay in one piece with their neighbours: a write is what a call costs most.
          const bytes = chunk.subarray(at, at + length)
          const out = this.#watcher.seen(header, bytes.subarray(HEADER_BYTES), bytes)
          const end = at + length
          if (out.length !== 1 || out[0] !== bytes) {
            this.#forward(chunk.subarray(from, at))
            for (const piece of out) this.#write(piece)
            from = end
          }
          at = end
          from = this.#endFrame(chunk, from, at)
          continue
        }
      }
      // Something is to be looked at before it goes on.
      this.#forward(chunk.subarray(from, at))
      at = this.#collect(chunk, at)
      from = at
    }
    this.#forward(chunk.subarray(from))
  }

  /** Puts whole frames in between: now, after the frame that is under way, or after the first of all. */
  inject(...frames: Uint8Array[]): void {
    this.#injected.push(...frames)
    if (this.#isBetweenFrames()) this.#flushInjected()
  }

  #isBetweenFrames(): boolean {
    // What is pending has not gone on, not even its header.
    return this.#passing === 0 && this.#begun
  }

  /** A frame ended at `at`, and what goes on from `from` is not written yet; gives where the rest of that begins. */
  #endFrame(chunk: Buffer, from: number, at: number): number {
    this.#begun = true
    if (this.#injected.length === 0) return from
    this.#forward(chunk.subarray(from, at))
    this.#flushInjected()
    return at
  }

  #frameEnded(): void {
    this.#begun = true
    this.#flushInjected()
  }

  #flushInjected(): void {
    const frames = this.#injected
    this.#injected = []
    for (const bytes of frames) this.#write(bytes)
  }

  #forward(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#write(bytes)
  }

  #readPreface(chunk: Buffer): number {
    const count = Math.min(this.#preface, chunk.length)
    const start = PREFACE.length - this.#preface
    if (!chunk.subarray(0, count).equals(PREFACE.subarray(start, start + count))) throw new NotHTTP2()
    this.#preface -= count
    return count
  }

  /** Gathers a header or a wanted frame; gives the place up to which the chunk is used. */
  #collect(chunk: Buffer, at: number): number {
    const due = HEADER_BYTES + (this.#wanted?.length ?? 0)
    const part = chunk.subarray(at, at + due - this.#pendingBytes)
    this.#pending.push(part)
    this.#pendingBytes += part.length
    if (this.#pendingBytes < due) return at + part.length
    const bytes = this.#pending.length === 1 ? part : Buffer.concat(this.#pending)
    if (this.#wanted === undefined) {
      const header = readHeader(bytes, 0)
      if (!this.#watcher.wants(header)) {
        this.#pending = []
        this.#pendingBytes = 0
        this.#write(bytes)
        this.#passing = header.length
        if (header.length === 0) this.#frameEnded()
        return at + part.length
      }
      if (header.length > MOST_PAYLOAD) throw new FrameTooLarge(header)
      this.#wanted = header
      this.#pending = [bytes]
      if (header.length > 0) return at + part.length
    }
    const header = this.#wanted
    this.#wanted = undefined
    this.#pending = []
    this.#pendingBytes = 0
    for (const out of this.#watcher.seen(header, bytes.subarray(HEADER_BYTES), bytes)) this.#write(out)
    this.#frameEnded()
    return at + part.length
  }
}

/** The client does not speak HTTP/2. */
class NotHTTP2 extends Error {
  override readonly name = 'NotHTTP2'
}

/** A frame that would have to be held whole is larger than any that gRPC sends. */
class FrameTooLarge extends Error {
  override readonly name = 'FrameTooLarge'
  constructor({ length, type }: FrameHeader) {
    super(`a frame of type ${type} has ${length} bytes, more than the ${MOST_PAYLOAD} that are held`)
  }
}
