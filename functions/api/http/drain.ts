import type { MiddlewareHandler } from 'hono'

/** As much of a refused body as is read to its end, and for how long: more than the largest that any call takes. */
const DRAIN_BYTES = 16 * 1024 * 1024
const DRAIN_MS = 5000

/**
 * Reads what is left of a body before a refusal is answered. A client that still sends when the connection closes sees
 * a broken pipe, and never the problem that it was told.
 */
export const drainRefused: MiddlewareHandler = async (c, next) => {
  // The stream as it came: a limit puts another request in its place.
  const { body } = c.req.raw
  await next()
  if (c.res.status < 400 || body === null || body.locked) return
  await drain(body)
}

async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader()
  const late = setTimeout(() => void reader.cancel('too slow').catch(() => undefined), DRAIN_MS)
  try {
    for (let size = 0; size <= DRAIN_BYTES;) {
      const { done, value } = await reader.read()
      if (done) return
      size += value.byteLength
    }
    await reader.cancel('more than the limit')
  } catch {
    // The client went away, or was read already: there is nothing to read, and the refusal stands.
    return
  } finally {
    clearTimeout(late)
  }
}
