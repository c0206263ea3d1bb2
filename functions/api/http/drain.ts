/** Reading the rest of a refused body, so that its sender sees the refusal. */
import type { MiddlewareHandler } from 'hono'

/** How much of a refused body is read, and for how long. More than the largest body that any route takes. */
const DRAIN_BYTES = 16 * 1024 * 1024
const DRAIN_MS = 5000

/**
 * Reads what is left of a body before a refusal is answered. A client that is still sending when the connection closes sees a
 * broken pipe instead of the answer.
 */
export const drainRefused: MiddlewareHandler = async (c, next) => {
  // Taken now, because limitBody (body-limit.ts) puts another request in the place of this one.
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
    // The client went away, or the body was read already. There is nothing left to read, and the refusal stands.
    return
  } finally {
    clearTimeout(late)
  }
}
