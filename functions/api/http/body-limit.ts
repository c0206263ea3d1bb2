/**
 * How much of a body is read. Not hono/body-limit: past its limit that one keeps the body locked, so that nothing can read the
 * rest of it (drain.ts), and a client that is still sending never sees the refusal.
 */
import type { Context } from 'hono'
import { readAtMost } from '../../contract/body.ts'
import { LayercastError } from '../../errors.ts'

/**
 * Reads the body, at most `limit` bytes of it, and puts these bytes in its place for the handler's parser. Gives the bytes.
 * REQUEST_TOO_LARGE: at once where a longer length is stated, else as soon as more bytes have come.
 */
export async function limitBody(c: Context, limit: number): Promise<Uint8Array> {
  const stated = Number(c.req.header('content-length') ?? 0)
  if (stated > limit) throw tooLarge(limit, stated)
  const { url, method, headers, body } = c.req.raw
  const bytes = await readAtMost(body, limit)
  if (bytes === undefined) throw tooLarge(limit)
  c.req.raw = new Request(url, { method, headers, body: bytes.byteLength === 0 ? null : bytes })
  return bytes
}

function tooLarge(limit: number, stated?: number): LayercastError {
  const size = stated === undefined ? 'more' : `${stated} bytes, more`
  return new LayercastError('REQUEST_TOO_LARGE', `the body has ${size} than the ${limit} bytes that this call takes`, {
    fix: 'See /openapi.json for what this call takes.',
    detail: { limit },
  })
}
