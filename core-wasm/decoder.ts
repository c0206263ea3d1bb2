/** Streams that decompress gzip and zstd, each on an instance of the core. */
import { native } from '#core-module'
import { DONE, NEED_INPUT, OUTPUT } from './assembly/status.ts'
import { CoreError, errorOf } from './errors.ts'
import { acquire, isCompiled, release, type Instance } from './instance.ts'
import type { DecoderOptions, Format } from './options.ts'

/**
 * A decompressing stream. It yields views of its memory, valid until the next is asked for: copy what you keep.
 * Each iterable must be taken to its end before the next call. Errors are `CoreError`s; after one nothing more comes.
 */
export interface Decoder {
  /** Takes compressed bytes, and yields what they decompress to so far; a little may be held back until more comes. */
  write(chunk: Uint8Array): Iterable<Uint8Array>
  /** Says that no more comes; yields the rest, and throws where the data is not whole. */
  end(): Iterable<Uint8Array>
  /** Gives the memory back, and with it every view that was yielded. May be called at any time, and more than once. */
  free(): void
}

class StreamDecoder implements Decoder {
  #instance: Instance | undefined
  readonly #step: () => number
  readonly #limit: number
  readonly #release: (instance: Instance) => void
  #total = 0
  #busy = false
  #ended = false

  constructor(instance: Instance, format: Format, options: DecoderOptions, giveBack: (instance: Instance) => void) {
    const { core } = instance
    this.#instance = instance
    this.#step = format === 'gzip' ? core.gzipStep : core.zstdStep
    this.#limit = options.limit ?? Number.POSITIVE_INFINITY
    this.#release = giveBack
    if (format === 'gzip') core.gzipStart()
    else core.zstdStart()
  }

  write(chunk: Uint8Array): Iterable<Uint8Array> {
    return this.#feed(this.#begin(), chunk)
  }

  end(): Iterable<Uint8Array> {
    const instance = this.#begin()
    this.#ended = true
    return this.#finish(instance)
  }

  free(): void {
    const instance = this.#instance
    if (instance === undefined) return
    this.#instance = undefined
    this.#release(instance)
  }

  #begin(): Instance {
    if (this.#instance === undefined || this.#ended) throw new CoreError('DECODER_CLOSED')
    if (this.#busy) throw new CoreError('DECODER_BUSY')
    this.#busy = true
    return this.#instance
  }

  #failed(error: CoreError): CoreError {
    this.free()
    return error
  }

  *#feed(instance: Instance, chunk: Uint8Array): Generator<Uint8Array> {
    const { core } = instance
    const limit = core.inputLimit()
    let taken = 0
    while (taken < chunk.length) {
      const room = core.inputRoom()
      const length = Math.min(limit - room, chunk.length - taken)
      instance.bytes.set(taken === 0 && length === chunk.length ? chunk : chunk.subarray(taken, taken + length), room)
      core.supply(room + length, 0)
      taken += length
      yield* this.#run(instance, NEED_INPUT)
    }
    this.#busy = false
  }

  *#finish(instance: Instance): Generator<Uint8Array> {
    instance.core.supply(instance.core.inputRoom(), 1)
    yield* this.#run(instance, DONE)
    this.#busy = false
  }

  *#run(instance: Instance, until: number): Generator<Uint8Array> {
    for (;;) {
      const answer = this.#step()
      if (answer === until) return
      if (answer !== OUTPUT) throw this.#failed(errorOf(answer))
      const from = instance.core.outputFrom()
      const to = instance.core.outputTo()
      this.#total += to - from
      if (this.#total > this.#limit) {
        throw this.#failed(new CoreError('OUTPUT_LIMIT', { detail: `${this.#limit} bytes` }))
      }
      yield instance.bytes.subarray(from, to)
      if (this.#instance !== instance) throw new CoreError('DECODER_CLOSED')
    }
  }
}

/** With fewer compressed bytes than this, the host's own gunzip is done before the core is compiled. */
const SMALL = 0x8000

/**
 * Collects the beginning of a stream. A stream that ends while it is small goes to the host's gunzip in one piece; any other
 * goes to the core, what was collected first.
 */
class SmallFirst implements Decoder {
  readonly #options: DecoderOptions
  #held: Uint8Array[] = []
  #size = 0
  #decoder: Decoder | undefined
  #closed = false

  constructor(options: DecoderOptions) {
    this.#options = options
  }

  write(chunk: Uint8Array): Iterable<Uint8Array> {
    if (this.#decoder !== undefined) return this.#decoder.write(chunk)
    this.#check()
    this.#held.push(chunk.slice())
    this.#size += chunk.length
    return this.#size < SMALL ? [] : this.#open().write(this.#take())
  }

  end(): Iterable<Uint8Array> {
    if (this.#decoder !== undefined) return this.#decoder.end()
    this.#check()
    const data = this.#take()
    const whole = native?.gunzip?.(data, this.#options.limit ?? Number.POSITIVE_INFINITY)
    if (whole === undefined) return rest(this.#open(), data)
    this.#closed = true
    return whole.length === 0 ? [] : [whole]
  }

  free(): void {
    this.#closed = true
    this.#decoder?.free()
  }

  #check(): void {
    if (this.#closed) throw new CoreError('DECODER_CLOSED')
  }

  #open(): Decoder {
    this.#decoder = new StreamDecoder(acquire(), 'gzip', this.#options, release)
    return this.#decoder
  }

  #take(): Uint8Array {
    const data = new Uint8Array(this.#size)
    let at = 0
    for (const chunk of this.#held) {
      data.set(chunk, at)
      at += chunk.length
    }
    this.#held = []
    return data
  }
}

function* rest(decoder: Decoder, data: Uint8Array): Generator<Uint8Array> {
  yield* decoder.write(data)
  yield* decoder.end()
}

/**
 * Decompresses gzip (RFC 1952): members one after another, each one's header, CRC-32 and length checked; zero padding
 * after the last is accepted, anything else is refused.
 */
export function gunzip(options: DecoderOptions = {}): Decoder {
  if (native?.gunzip !== undefined && !isCompiled()) return new SmallFirst(options)
  return new StreamDecoder(acquire(), 'gzip', options, release)
}

/**
 * Decompresses zstd (RFC 8878): frames one after another, skippable ones passed over, content sizes and checksums checked
 * where they are given. Windows of more than 128 MiB and dictionaries are refused.
 */
export function unzstd(options: DecoderOptions = {}): Decoder {
  return new StreamDecoder(acquire(), 'zstd', options, release)
}

/** A decoder on an instance that stays the caller's: `free` does not give it back. */
export function decoderOn(instance: Instance, format: Format, options: DecoderOptions): Decoder {
  return new StreamDecoder(instance, format, options, () => undefined)
}
