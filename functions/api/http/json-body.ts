/** What the schemas of the contract cannot check of a body. */
import type { Context } from 'hono'
import type { Route } from '../../contract/route.ts'
import { LayercastError } from '../../errors.ts'

/**
 * Checks a body before the handler's parser reads it. REQUEST_INVALID: there is none where the route needs one; or it has a key
 * `__proto__`, which zod's records (a node's labels) drop without a word. MEDIA_TYPE_UNSUPPORTED: it has no Content-Type, and
 * the validator would ignore it.
 */
export function checkBody(c: Context, route: Route, bytes: Uint8Array): void {
  const type = c.req.header('content-type')
  if (route.request?.body?.required === true && type === undefined) {
    if (bytes.byteLength === 0) {
      throw new LayercastError('REQUEST_INVALID', 'this call takes a body, and there is none', {
        fix: 'Send one, {} at least where nothing in it is required, and say its Content-Type.',
      })
    }
    throw new LayercastError('MEDIA_TYPE_UNSUPPORTED', 'the body has no Content-Type', {
      fix: 'Say it: see /openapi.json for the types that this call takes.',
    })
  }
  // Image documents have a parser of their own (functions/image), which refuses what it must.
  if (type === undefined || !('application/json' in (route.request?.body?.content ?? {}))) return
  if (/json/i.test(type)) refusePrototype(new TextDecoder().decode(bytes))
}

function refusePrototype(text: string): void {
  let found = false
  try {
    JSON.parse(text, (key, value: unknown) => {
      found ||= key === '__proto__'
      return value
    })
  } catch {
    // Not JSON: the validator, which reads the body next, says so.
    return
  }
  if (found) {
    throw new LayercastError('REQUEST_INVALID', 'the body has the key "__proto__", which names nothing here', {
      fix: 'Leave it away.',
    })
  }
}
