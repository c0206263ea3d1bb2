import type { Context } from 'hono'
import { readAtMost } from '../../contract/body.ts'
import { LayercastError } from '../../errors.ts'

/**
 * Reads the body, but no more of it than the limit, and puts it in the body's place for whoever parses it. Gives
 * the bytes.
 * REQUEST_TOO_LARGE: at once where its length is stated, else as soon as it is passed.
 */
export async function limitBody(c: Context, limit: number): Promise<Uint8Array> {
  const stated = Number(c.req.header('content-length') ?? 0)
  if (stated > limit) throw tooLarge(limit, stated)
  const { url, method, headers, body } = c.req.raw
  const bytes = await readAtMost(body, limit)
  if (bytes === undefined) throw tooLarge(limit)
  c.req.raw = new Request(url, { method, headers, ...(bytes.byteLength === 0 ? {} : { body: bytes }) })
  return bytes
}

function tooLarge(limit: number, stated?: number): LayercastError {
  const size = stated === undefined ? 'more' : `${stated} bytes, more`
  return new LayercastError('REQUEST_TOO_LARGE', `the body has ${size} than the ${limit} bytes that this call takes`, {
    fix: 'See /openapi.json for what this call takes.',
    detail: { limit },
  })
}
