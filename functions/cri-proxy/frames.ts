/** HTTP/2 frames as they lie in a stream of bytes (RFC 9113, section 4.1). */

export const HEADER_BYTES = 9

/** What a client sends before its first frame (section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Types of frames (section 6). */
export const DATA = 0
export const HEADERS = 1
export const RST_STREAM = 3
export const PUSH_PROMISE = 5
const GOAWAY = 7
export const CONTINUATION = 9

/** Flags of frames (section 6). */
export const END_STREAM = 0x1
export const END_HEADERS = 0x4
export const PADDED = 0x8
const PRIORITY = 0x20

/** Error codes (section 7). */
export const NO_ERROR = 0
export const CANCEL = 8
export const ENHANCE_YOUR_CALM = 11

export interface FrameHeader {
  /** Of the payload, in bytes. */
  length: number
  type: number
  flags: number
  stream: number
}

/** Reads the header that begins at this place. */
export function readHeader(bytes: Uint8Array, at: number): FrameHeader {
  const byte = (offset: number): number => bytes[at + offset] ?? 0
  return {
    length: (byte(0) << 16) | (byte(1) << 8) | byte(2),
    type: byte(3),
    flags: byte(4),
    stream: ((byte(5) & 0x7f) << 24) | (byte(6) << 16) | (byte(7) << 8) | byte(8),
  }
}

/** Writes a whole frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, HEADER_BYTES)
  return bytes
}

/** An RST_STREAM frame. */
export function resetFrame(stream: number, error: number): Buffer {
  const code = Buffer.alloc(4)
  code.writeUInt32BE(error)
  return frame(RST_STREAM, 0, stream, code)
}

/** A GOAWAY frame: streams beyond `last` were not looked at, and the client may send them elsewhere. */
export function goAwayFrame(last: number, error: number): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(last)
  payload.writeUInt32BE(error, 4)
  return frame(GOAWAY, 0, 0, payload)
}

/** The header block, or its first part, in the payload of a HEADERS frame: without padding and priority (section 6.2). */
export function blockOf({ flags }: FrameHeader, payload: Uint8Array): Uint8Array {
  const start = ((flags & PADDED) === 0 ? 0 : 1) + ((flags & PRIORITY) === 0 ? 0 : 5)
  const padding = (flags & PADDED) === 0 ? 0 : (payload[0] ?? 0)
  return payload.subarray(start, Math.max(start, payload.length - padding))
}
