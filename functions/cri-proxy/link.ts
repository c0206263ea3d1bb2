/**
 * One connection of a client, joined to one of its own to containerd. All frames go through untouched, in both directions; only
 * a request that something must be ready for is kept back by its last byte until it is.
 *
 * containerd has the rest of the request by then, so the windows of both ends (RFC 9113, section 5.2) stay as if nobody stood
 * between them, and its clock for the call's deadline runs from the first byte.
 */
import type { Socket } from 'node:net'
import { FramePipe, type FrameWatcher } from './frame-pipe.ts'
import {
  blockOf,
  CANCEL,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  frame,
  goAwayFrame,
  HEADERS,
  NO_ERROR,
  PADDED,
  PUSH_PROMISE,
  resetFrame,
  RST_STREAM,
  type FrameHeader,
} from './frames.ts'
import { encodeLiterals, HpackDecoder, type Fields } from './hpack.ts'

/** What a held request comes to: it goes on, or the client is answered in containerd's place. */
export type Verdict = { pass: true } | { pass: false; status: number; message: string }

/** A call, as far as it is looked at. */
export interface Call {
  /** `/runtime.v1.RuntimeService/CreateContainer`. */
  readonly method: string
  /** The `grpc-timeout` in milliseconds; undefined where the client set none. */
  readonly timeoutMs: number | undefined
}

export interface LinkOptions {
  client: Socket
  upstream: Socket
  /** Whether requests of this method are held, and their answers wanted. */
  isGated(method: string): boolean
  /**
   * Asked with the request's message. Until it answers the request waits; `signal` fires when the client has given it up or the
   * connection is gone. Never rejects.
   */
  gate(call: Call, message: Uint8Array, signal: AbortSignal): Promise<Verdict>
  /** Told of the answer's first message to a gated request. */
  answered(call: Call, request: Uint8Array, message: Uint8Array): void
  /** Told when a call has ended: with gRPC's status code, or undefined where the stream was reset. */
  ended(call: Call, status: number | undefined): void
}

/** The most bytes of a request's message that are looked at; larger ones pass as they are. gRPC's own limit is 16 MiB. */
const MOST_MESSAGE = 4 * 1024 * 1024
/** gRPC over HTTP/2, Length-Prefixed-Message: a flag, and four bytes of length. */
const PREFIX_BYTES = 5
/** The most bytes of one header block, as it lies in its frames. */
const MOST_BLOCK = 256 * 1024
/** Streams that one client may have open; the kubelet has some dozens. */
const MOST_STREAMS = 10_000

/** For how long a connection whose other end is gone may take what is left for it. */
const LINGER_MS = 2000

interface Stream {
  call: Call
  clientEnded: boolean
  upstreamEnded: boolean
  status: number | undefined
  /** Of a gated call. */
  gated: Gated | undefined
}

interface Gated {
  /** The gRPC frame of the request and the answer, as far as they have come: a flag, four bytes of length, the message. */
  request: Message
  answer: Message
  /** While the request waits: its frames from the last byte on. */
  held: Uint8Array[] | undefined
  abort: AbortController
}

/** Gathers the first message of one direction of a stream. */
class Message {
  /** What has come, and room for more. */
  #buffer = Buffer.alloc(0)
  #bytes = 0
  /** Whether no more is wanted: the message is whole, or none that is looked at. */
  #done = false
  #whole: Uint8Array | undefined

  /** The message, once it is whole; without its prefix. */
  get whole(): Uint8Array | undefined {
    return this.#whole
  }

  /** Whether bytes came behind the message. */
  surplus = false

  /** Takes the next payload. Gives whether the message became whole with it. */
  add(payload: Uint8Array): boolean {
    if (this.#done) return false
    this.#append(payload)
    if (this.#bytes < PREFIX_BYTES) return false
    const due = PREFIX_BYTES + this.#buffer.readUInt32BE(1)
    if (due <= MOST_MESSAGE && this.#bytes < due) return false
    const buffer = this.#buffer
    this.#done = true
    this.#buffer = Buffer.alloc(0)
    // A compressed message is nobody's here: the kubelet sends none.
    if (due > MOST_MESSAGE || buffer[0] !== 0) return false
    this.#whole = buffer.subarray(PREFIX_BYTES, due)
    this.surplus = this.#bytes > due
    return true
  }

  /** The room doubles, so that a message in many small frames costs no more than its length. */
  #append(payload: Uint8Array): void {
    const bytes = this.#bytes + payload.length
    if (bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#buffer.length))
      this.#buffer.copy(larger)
      this.#buffer = larger
    }
    this.#buffer.set(payload, this.#bytes)
    this.#bytes = bytes
  }
}

export class Link {
  readonly #options: LinkOptions
  readonly #streams = new Map<number, Stream>()
  readonly #fromClient: FramePipe
  readonly #fromUpstream: FramePipe
  /** Streams that were answered here: what containerd still says of them is for nobody. */
  readonly #refused = new Set<number>()
  #lastStream = 0
  #draining = false
  #closed = false

  constructor(options: LinkOptions) {
    this.#options = options
    const { client, upstream } = options
    this.#fromClient = new FramePipe(this.#requests(), (bytes) => pour(bytes, client, upstream), { preface: true })
    this.#fromUpstream = new FramePipe(this.#answers(), (bytes) => pour(bytes, upstream, client), { preface: false })
    client.on('data', (chunk) => this.#push(this.#fromClient, chunk))
    upstream.on('data', (chunk) => this.#push(this.#fromUpstream, chunk))
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('drain', () => other.resume())
      socket.on('end', () => other.end())
      socket.on('error', () => other.destroy())
      socket.on('close', () => this.#gone(other))
    }
  }

  /** Calls that have not ended. */
  get open(): number {
    return this.#streams.size
  }

  /** Tells the client to send no more calls here (RFC 9113, section 6.8); those under way go on. */
  drain(): void {
    if (this.#draining || this.#closed) return
    this.#draining = true
    this.#fromUpstream.inject(goAwayFrame(this.#lastStream, NO_ERROR))
  }

  /** Ends both connections at once. */
  close(): void {
    this.#end()
    this.#options.client.destroy()
    this.#options.upstream.destroy()
  }

  /** One end is gone: the other gets what is still on its way to it, if it takes it soon. */
  #gone(other: Socket): void {
    this.#end()
    other.destroySoon()
    setTimeout(() => other.destroy(), LINGER_MS).unref()
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    for (const stream of this.#streams.values()) this.#finish(stream)
    this.#streams.clear()
  }

  #push(pipe: FramePipe, chunk: Buffer): void {
    if (this.#closed) return
    try {
      pipe.push(chunk)
    } catch (error) {
      // Whoever sends what cannot be followed is told so where it may understand, and loses this connection only.
      if (pipe === this.#fromClient && error instanceof Error && error.name !== 'NotHTTP2') {
        this.#options.client.write(goAwayFrame(this.#lastStream, ENHANCE_YOUR_CALM))
      }
      this.close()
    }
  }

  #requests(): FrameWatcher {
    const headers = new HeaderBlocks()
    return {
      wants: ({ type, flags, stream }) => {
        if (type === HEADERS || type === CONTINUATION) return true
        if (stream === 0) return false
        if (this.#refused.has(stream) || (this.#draining && stream > this.#lastStream)) return true
        if (type === RST_STREAM) return true
        // Of calls that nobody waits for, only the end is of interest.
        return type === DATA && ((flags & END_STREAM) !== 0 || this.#streams.get(stream)?.gated !== undefined)
      },
      seen: (header, payload, bytes) => {
        const { type, flags, stream: id } = header
        if (type === HEADERS || type === CONTINUATION) {
          const block = headers.add(header, payload)
          if (block === undefined) return this.#isUnwelcome(id) ? [] : [bytes]
          if (this.#isUnwelcome(id)) return []
          if (!this.#streams.has(id)) this.#begin(id, block)
          if (headers.ended) this.#clientEnded(id)
          return [bytes]
        }
        if (this.#refused.has(id) || this.#isUnwelcome(id)) return []
        const stream = this.#streams.get(id)
        if (stream === undefined) return [bytes]
        if (type === RST_STREAM) {
          this.#streams.delete(id)
          this.#finish(stream)
          return [bytes]
        }
        return this.#requestData(id, stream, header, payload, bytes, (flags & END_STREAM) !== 0)
      },
    }
  }

  /** Calls that come after the client was told that none would be looked at. */
  #isUnwelcome(id: number): boolean {
    return this.#draining && id > this.#lastStream
  }

  #begin(id: number, fields: Fields): void {
    if (this.#streams.size >= MOST_STREAMS) throw new Error(`more than ${MOST_STREAMS} calls at once`)
    this.#lastStream = Math.max(this.#lastStream, id)
    const method = fields.get(':path') ?? ''
    this.#streams.set(id, {
      call: { method, timeoutMs: timeoutOf(fields.get('grpc-timeout')) },
      clientEnded: false,
      upstreamEnded: false,
      status: undefined,
      gated: this.#options.isGated(method)
        ? { request: new Message(), answer: new Message(), held: undefined, abort: new AbortController() }
        : undefined,
    })
  }

  #requestData(
    id: number,
    stream: Stream,
    header: FrameHeader,
    payload: Uint8Array,
    bytes: Uint8Array,
    ends: boolean,
  ): readonly Uint8Array[] {
    if (ends) this.#clientEnded(id)
    const { gated } = stream
    if (gated === undefined) return [bytes]
    if (gated.held !== undefined) {
      gated.held.push(bytes)
      return []
    }
    if ((header.flags & PADDED) !== 0 || !gated.request.add(payload)) return [bytes]
    const [first, last] = gated.request.surplus ? [undefined, bytes] : split(header, payload)
    gated.held = [last]
    void this.#wait(id, stream, gated)
    return first === undefined ? [] : [first]
  }

  async #wait(id: number, stream: Stream, gated: Gated): Promise<void> {
    const message = gated.request.whole ?? new Uint8Array()
    const verdict = await this.#options.gate(stream.call, message, gated.abort.signal)
    const held = gated.held ?? []
    gated.held = undefined
    if (this.#closed || this.#streams.get(id) !== stream || stream.upstreamEnded) return
    if (verdict.pass) this.#fromClient.inject(...held)
    else this.#refuse(id, stream, verdict)
  }

  #refuse(id: number, stream: Stream, { status, message }: Exclude<Verdict, { pass: true }>): void {
    // containerd may have nothing more to say of a call, and then it stays: only the latest can have late answers.
    const [oldest] = this.#refused
    if (this.#refused.size >= MOST_STREAMS && oldest !== undefined) this.#refused.delete(oldest)
    this.#refused.add(id)
    stream.status = status
    this.#streams.delete(id)
    this.#finish(stream)
    this.#fromClient.inject(resetFrame(id, CANCEL))
    // An answer of trailers alone (gRPC over HTTP/2, Trailers-Only).
    const block = encodeLiterals([
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', `${status}`],
      ['grpc-message', percentEncode(message)],
    ])
    this.#fromUpstream.inject(frame(HEADERS, END_HEADERS | END_STREAM, id, block))
  }

  #answers(): FrameWatcher {
    const headers = new HeaderBlocks()
    return {
      wants: ({ type, flags, stream: id }) => {
        if (type === HEADERS || type === CONTINUATION || type === PUSH_PROMISE || type === RST_STREAM) return true
        if (type !== DATA) return false
        if (this.#refused.has(id)) return true
        const stream = this.#streams.get(id)
        return stream !== undefined && (stream.gated !== undefined || (flags & END_STREAM) !== 0)
      },
      seen: (header, payload, bytes) => {
        const { type, flags, stream: id } = header
        const stream = this.#streams.get(id)
        // Its block would have to be followed too, and gRPC has no use for it.
        if (type === PUSH_PROMISE) throw new Error('a server that pushes')
        if (type === HEADERS || type === CONTINUATION) {
          const block = headers.add(header, payload)
          // Forwarded even where the call was refused here: the client's table of header fields must follow.
          if (block !== undefined && stream !== undefined) {
            const status = block.get('grpc-status')
            if (status !== undefined) stream.status = Number(status)
            if (headers.ended) this.#upstreamEnded(id, stream)
          }
          return [bytes]
        }
        if (type === RST_STREAM) {
          if (this.#refused.delete(id)) return []
          if (stream !== undefined) {
            this.#streams.delete(id)
            this.#finish(stream)
          }
          return [bytes]
        }
        if (type === DATA && this.#refused.has(id)) return []
        if (stream !== undefined && type === DATA) {
          const { gated } = stream
          if (gated !== undefined && (flags & PADDED) === 0 && gated.answer.add(payload)) {
            const { request, answer } = gated
            this.#options.answered(stream.call, request.whole ?? new Uint8Array(), answer.whole ?? new Uint8Array())
          }
          if ((flags & END_STREAM) !== 0) this.#upstreamEnded(id, stream)
        }
        return [bytes]
      },
    }
  }

  #clientEnded(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.clientEnded = true
    this.#endIfDone(id, stream)
  }

  #upstreamEnded(id: number, stream: Stream): void {
    stream.upstreamEnded = true
    // Who is answered waits for nothing more, also where the request was still held.
    stream.gated?.abort.abort()
    this.#endIfDone(id, stream)
  }

  #endIfDone(id: number, stream: Stream): void {
    if (!stream.clientEnded || !stream.upstreamEnded) return
    this.#streams.delete(id)
    this.#finish(stream)
  }

  #finish(stream: Stream): void {
    stream.gated?.abort.abort()
    this.#options.ended(stream.call, stream.status)
  }
}

/** Puts header blocks together that come in several frames (section 6.10), and decodes them. */
class HeaderBlocks {
  readonly #decoder = new HpackDecoder()
  #parts: Uint8Array[] = []
  #bytes = 0
  #ends = false

  /** Whether the last block was the last of its direction of the stream. */
  get ended(): boolean {
    return this.#ends
  }

  /** Gives the fields once the block is whole. */
  add(header: FrameHeader, payload: Uint8Array): Fields | undefined {
    const part = header.type === HEADERS ? blockOf(header, payload) : payload
    if (header.type === HEADERS) this.#ends = (header.flags & END_STREAM) !== 0
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes > MOST_BLOCK) throw new Error(`a header block of more than ${MOST_BLOCK} bytes`)
    if ((header.flags & END_HEADERS) === 0) return undefined
    const block = this.#parts.length === 1 ? part : Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes = 0
    return this.#decoder.decode(block)
  }
}

/** Writes to the other end, and stops reading from this one while that is slow. */
function pour(bytes: Uint8Array, from: Socket, to: Socket): void {
  if (to.writable && !to.write(bytes)) from.pause()
}

/** The frame in two, the last byte alone in the second. */
function split({ flags, stream }: FrameHeader, payload: Uint8Array): [first: Uint8Array | undefined, last: Uint8Array] {
  const most = payload.length - 1
  const first = most > 0 ? frame(DATA, flags & ~END_STREAM, stream, payload.subarray(0, most)) : undefined
  return [first, frame(DATA, flags, stream, payload.subarray(most))]
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** gRPC over HTTP/2, Timeout: at most eight digits and a unit. */
function timeoutOf(text: string | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text ?? '')
  return match === null ? undefined : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)
}

/** gRPC over HTTP/2, Status-Message: all but printable ASCII is percent-encoded. */
function percentEncode(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^\x20-\x24\x26-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
