/** SHA-256 by the host or by the core, of one message, of many, and of a stream; SHA-384 and SHA-512 by the host. */
import { longHashHex, native } from '#core-module'
import { acquire, type Instance } from './instance.ts'

/** Which implementation hashes: the host's where it has one, or the core's own. */
export type Engine = 'native' | 'wasm'

/** The bytes of one call into the core. Calls are short because V8 replaces a function by its optimised version only between calls. */
const PIECE = 0x40000
const BLOCK = 64
const LANES = 4
const LANE_PIECE = PIECE / LANES

const encoder = new TextEncoder()

let shared: Instance | undefined
/** The instance that hashes. No state stays in it between two calls, so one is enough. */
export function hashing(): Instance {
  shared ??= acquire()
  return shared
}

interface Stream {
  update(data: Uint8Array): unknown
  digest(): Uint8Array
}

/** SHA-256 in the core. The chaining value is kept here between calls, so that many streams share one instance. */
class WasmStream implements Stream {
  readonly #state = new Uint8Array(32)
  readonly #tail = new Uint8Array(BLOCK * 2)
  #waiting = 0
  #length = 0

  constructor() {
    const { core, bytes } = hashing()
    core.shaStart()
    const at = core.shaStateAddress()
    this.#state.set(bytes.subarray(at, at + 32))
  }

  /** Continues from the chaining value of a lane, after `length` bytes of whole blocks. */
  resume(lane: number, length: number): this {
    const { core, bytes } = hashing()
    const lanes = new Uint32Array(bytes.buffer, core.laneStateAddress(), 32)
    const state = new Uint32Array(this.#state.buffer)
    for (let word = 0; word < 8; word++) state[word] = lanes[word * LANES + lane] ?? 0
    this.#length = length
    return this
  }

  update(data: Uint8Array): this {
    this.#length += data.length
    let from = 0
    if (this.#waiting > 0) {
      from = Math.min(BLOCK - this.#waiting, data.length)
      this.#tail.set(data.subarray(0, from), this.#waiting)
      this.#waiting += from
      if (this.#waiting < BLOCK) return this
      this.#blocks(this.#tail.subarray(0, BLOCK))
    }
    const whole = from + Math.floor((data.length - from) / BLOCK) * BLOCK
    if (whole > from) this.#blocks(data.subarray(from, whole))
    this.#waiting = data.length - whole
    this.#tail.set(data.subarray(whole))
    return this
  }

  digest(): Uint8Array {
    const padded = this.#waiting + 9 > BLOCK ? BLOCK * 2 : BLOCK
    this.#tail.fill(0, this.#waiting)
    this.#tail[this.#waiting] = 0x80
    const view = new DataView(this.#tail.buffer)
    view.setBigUint64(padded - 8, BigInt(this.#length) * 8n)
    this.#blocks(this.#tail.subarray(0, padded))
    const words = new DataView(this.#state.buffer)
    const digest = new Uint8Array(32)
    const out = new DataView(digest.buffer)
    for (let at = 0; at < 32; at += 4) out.setUint32(at, words.getUint32(at, true))
    return digest
  }

  /** Whole blocks. */
  #blocks(data: Uint8Array): void {
    const { core, bytes } = hashing()
    const state = core.shaStateAddress()
    const input = core.inputAddress()
    bytes.set(this.#state, state)
    for (let from = 0; from < data.length; from += PIECE) {
      const piece = data.subarray(from, from + PIECE)
      bytes.set(piece, input)
      core.shaBlocks(input, piece.length / BLOCK)
    }
    this.#state.set(bytes.subarray(state, state + 32))
  }
}

/** SHA-256 of a message that comes in pieces (FIPS 180-4). `digest` ends it. */
export class Sha256 {
  readonly #stream: Stream

  constructor(options: { engine?: Engine } = {}) {
    this.#stream = native !== undefined && options.engine !== 'wasm' ? native.sha256Stream() : new WasmStream()
  }

  update(data: Uint8Array): this {
    this.#stream.update(data)
    return this
  }

  /** The 32 bytes of the digest. */
  digest(): Uint8Array {
    return plain(this.#stream.digest())
  }
}

/** SHA-256 of some bytes (FIPS 180-4): 32 bytes. */
export function sha256(data: Uint8Array, options: { engine?: Engine } = {}): Uint8Array {
  if (native !== undefined && options.engine !== 'wasm') return plain(native.sha256(data))
  return new WasmStream().update(data).digest()
}

/** The hash of some bytes, or of a text's UTF-8 bytes, by an algorithm that digests may have (FIPS 180-4), as hexadecimal digits. */
export function hashHex(algorithm: 'sha256' | 'sha384' | 'sha512', data: Uint8Array | string): string {
  if (algorithm === 'sha256' && native !== undefined) return native.sha256Hex(data)
  const bytes = typeof data === 'string' ? encoder.encode(data) : data
  return algorithm === 'sha256' ? hexOf(sha256(bytes)) : longHashHex(algorithm, bytes)
}

/** Bytes as hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  let digits = ''
  for (const byte of bytes) digits += byte.toString(16).padStart(2, '0')
  return digits
}

/**
 * SHA-256 of many messages (FIPS 180-4). The core hashes four at a time, one in each lane of its vectors, which is faster than one
 * after the other where their lengths are alike.
 */
export function sha256Each(messages: readonly Uint8Array[], options: { engine?: Engine } = {}): Uint8Array[] {
  const { engine } = options
  if (native !== undefined && engine !== 'wasm') return messages.map((message) => sha256(message))
  const digests: Uint8Array[] = []
  let next = 0
  for (; next + LANES <= messages.length; next += LANES) digests.push(...four(messages.slice(next, next + LANES)))
  for (; next < messages.length; next++) digests.push(new WasmStream().update(messages[next]!).digest())
  return digests
}

/** Four messages: side by side up to the length of the shortest, then the rest of each by itself. */
function four(messages: readonly Uint8Array[]): Uint8Array[] {
  const { core, bytes } = hashing()
  const input = core.inputAddress()
  const common = Math.floor(Math.min(...messages.map(({ length }) => length)) / BLOCK) * BLOCK
  messages.forEach((_, lane) => core.laneStart(lane))
  for (let from = 0; from < common; from += LANE_PIECE) {
    const to = Math.min(from + LANE_PIECE, common)
    messages.forEach((message, lane) => bytes.set(message.subarray(from, to), input + lane * LANE_PIECE))
    core.laneRun(input, input + LANE_PIECE, input + 2 * LANE_PIECE, input + 3 * LANE_PIECE, (to - from) / BLOCK)
  }
  const streams = messages.map((_, lane) => new WasmStream().resume(lane, common))
  return streams.map((stream, lane) => stream.update(messages[lane]!.subarray(common)).digest())
}

/** As a plain Uint8Array: Node answers Buffers, whose slice and toString behave otherwise. */
function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}
