// A Worker that does the work to be measured; the clock is outside, for workerd's own stands still while code runs.
import { diffID } from '../../../../core-wasm/core.ts'

const CHUNK = 0x10000

let input = new Uint8Array()

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK)
}

/** What workerd offers: both ends native, so that no byte passes through JavaScript. */
async function theirs(): Promise<string> {
  const digest = new crypto.DigestStream('SHA-256')
  await new Response(input).body?.pipeThrough(new DecompressionStream('gzip')).pipeTo(digest)
  return [...new Uint8Array(await digest.digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export default {
  async fetch(request: Request): Promise<Response> {
    switch (new URL(request.url).pathname) {
      case '/input':
        input = new Uint8Array(await request.arrayBuffer())
        return new Response('taken')
      case '/ours':
        return new Response((await diffID(chunks(input), { format: 'gzip' })).diffID.slice('sha256:'.length))
      default:
        return new Response(await theirs())
    }
  },
}
