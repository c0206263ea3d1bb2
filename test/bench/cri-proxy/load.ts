/** A client that costs next to nothing: Version calls as frames written by hand, so that what is measured is not the client. */
import { connect, type Socket } from 'node:net'
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADER_BYTES,
  HEADERS,
  PREFACE,
  readHeader,
} from '../../../functions/cri-proxy/frames.ts'
import { encodeLiterals } from '../../../functions/cri-proxy/hpack.ts'

const SETTINGS = 4
const ACK = 1
const PING = 6
const WINDOW_UPDATE = 8
const GOAWAY = 7
const RST_STREAM = 3
/** Of the connection, in bytes: no answer has to wait for it. */
const WINDOW = 2 ** 30

const BLOCK = encodeLiterals([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/runtime.v1.RuntimeService/Version'],
  [':authority', 'localhost'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
])
const MESSAGE = Buffer.alloc(5)

/** Makes `count` calls with so many in flight, all on one connection. Throws where one fails. */
export async function callVersion(address: string, count: number, inFlight: number): Promise<void> {
  const socket = connect(address)
  const window = Buffer.alloc(4)
  window.writeUInt32BE(WINDOW)
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, new Uint8Array()), frame(WINDOW_UPDATE, 0, 0, window)]))
  try {
    await new Promise<void>((resolve, reject) => run(socket, count, inFlight, resolve, reject))
  } finally {
    socket.destroy()
  }
}

function run(
  socket: Socket,
  count: number,
  inFlight: number,
  resolve: () => void,
  reject: (error: Error) => void,
): void {
  let begun = 0
  let ended = 0
  let rest: Buffer = Buffer.alloc(0)
  const begin = (calls: number): Buffer[] => {
    const bytes: Buffer[] = []
    for (let index = 0; index < calls && begun < count; index++) {
      const stream = 2 * begun++ + 1
      bytes.push(frame(HEADERS, END_HEADERS, stream, BLOCK), frame(DATA, END_STREAM, stream, MESSAGE))
    }
    return bytes
  }
  socket.write(Buffer.concat(begin(inFlight)))
  socket.on('error', reject)
  socket.on('close', () => reject(new Error(`the connection ended after ${ended} of ${count} calls`)))
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const out: Buffer[] = []
    let done = 0
    let at = 0
    while (rest.length - at >= HEADER_BYTES) {
      const { length, type, flags } = readHeader(rest, at)
      if (rest.length - at < HEADER_BYTES + length) break
      const payload = rest.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
      at += HEADER_BYTES + length
      if (type === SETTINGS && (flags & ACK) === 0) out.push(frame(SETTINGS, ACK, 0, new Uint8Array()))
      else if (type === PING && (flags & ACK) === 0) out.push(frame(PING, ACK, 0, payload))
      // gRPC's server resets what it has answered before the client's end arrived: without an error.
      else if (type === GOAWAY || (type === RST_STREAM && payload.readUInt32BE(0) !== 0))
        return reject(new Error(`a frame of type ${type}`))
      else if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0) done++
    }
    rest = rest.subarray(at)
    ended += done
    if (ended === count) return resolve()
    const bytes = [...out, ...begin(done)]
    if (bytes.length > 0) socket.write(Buffer.concat(bytes))
  })
}
