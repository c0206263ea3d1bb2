import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FramePipe } from '../../functions/cri-proxy/frame-pipe.ts'
import { frame, PREFACE } from '../../functions/cri-proxy/frames.ts'

interface Frame {
  type: number
  flags: number
  stream: number
  payload: Uint8Array
}

const frames = fc.array(
  fc.record<Frame>({
    type: fc.integer({ min: 0, max: 12 }),
    flags: fc.integer({ min: 0, max: 255 }),
    stream: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    payload: fc.uint8Array({ maxLength: 60 }),
  }),
  { maxLength: 12 },
)
const bytesOf = (all: readonly Frame[]): Buffer =>
  Buffer.concat(all.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)))

/** Cuts bytes into chunks of these lengths, over and over. */
function chunks(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const cut: Buffer[] = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length] ?? 1
    cut.push(bytes.subarray(at, at + length))
    at += length
  }
  return cut
}

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })

test('in whatever pieces frames come, the bytes go on as they were, and who wants a frame sees it whole', () => {
  fc.assert(
    fc.property(frames, lengths, fc.boolean(), (sent, sizes, preface) => {
      const out: Uint8Array[] = []
      const seen: Frame[] = []
      const pipe = new FramePipe(
        {
          wants: ({ type }) => type % 3 === 1,
          seen({ type, flags, stream }, payload, bytes) {
            seen.push({ type, flags, stream, payload: Uint8Array.from(payload) })
            return [bytes]
          },
        },
        (bytes) => out.push(Uint8Array.from(bytes)),
        { preface },
      )
      const bytes = preface ? Buffer.concat([PREFACE, bytesOf(sent)]) : bytesOf(sent)
      for (const chunk of chunks(bytes, sizes)) pipe.push(chunk)
      expect(Buffer.concat(out).equals(bytes)).toBe(true)
      expect(seen).toEqual(sent.filter(({ type }) => type % 3 === 1))
    }),
  )
})

test('a frame that is put in between stands between whole frames, and none is lost', () => {
  fc.assert(
    fc.property(frames, lengths, fc.integer({ min: 0, max: 20 }), (sent, sizes, when) => {
      const out: Uint8Array[] = []
      const pipe = new FramePipe(
        { wants: ({ type }) => type === 1, seen: (_, __, bytes) => [bytes] },
        (bytes) => out.push(Uint8Array.from(bytes)),
        {
          preface: false,
        },
      )
      const mark: Frame = { type: 99, flags: 0, stream: 0, payload: Buffer.from('in between') }
      const pieces = chunks(bytesOf(sent), sizes)
      for (const [index, chunk] of pieces.entries()) {
        if (index === when) pipe.inject(bytesOf([mark]))
        pipe.push(chunk)
      }
      if (when >= pieces.length) pipe.inject(bytesOf([mark]))
      const parsed = parse(Buffer.concat(out))
      // Before the first frame there is nothing to stand between.
      expect(parsed.filter(({ type }) => type === 99)).toHaveLength(sent.length === 0 ? 0 : 1)
      expect(parsed[0]?.type).not.toBe(99)
      expect(parsed.filter(({ type }) => type !== 99)).toEqual(sent)
    }),
  )
})

function parse(bytes: Buffer): Frame[] {
  const found: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at, 3)
    found.push({
      type: bytes[at + 3] ?? 0,
      flags: bytes[at + 4] ?? 0,
      stream: bytes.readUInt32BE(at + 5),
      payload: Uint8Array.from(bytes.subarray(at + 9, at + 9 + length)),
    })
    at += 9 + length
  }
  return found
}

test('what does not begin with the preface is no HTTP/2', () => {
  const pipe = new FramePipe({ wants: () => false, seen: () => [] }, () => undefined, { preface: true })
  expect(() => pipe.push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toThrow(expect.objectContaining({ name: 'NotHTTP2' }))
})

test('a frame that would have to be held whole, and is too large for that, ends the connection', () => {
  const pipe = new FramePipe({ wants: () => true, seen: () => [] }, () => undefined, { preface: false })
  const header = frame(1, 0, 1, new Uint8Array()).fill(0xff, 0, 3)
  expect(() => pipe.push(header)).toThrow(expect.objectContaining({ name: 'FrameTooLarge' }))
})
