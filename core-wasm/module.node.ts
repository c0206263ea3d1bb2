// How the core gets into Node: its bytes from the package, and what Node has natively.
import { createHash, hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { CoreError } from './errors.ts'
import type { AsideHash, Native } from './native.ts'

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return compiled('#core.wasm')
}

let shared: WebAssembly.Module | undefined
/** The core whose memory is shared between threads. */
export function sharedModule(): WebAssembly.Module {
  shared ??= compiled('#core-shared.wasm')
  return shared
}

function compiled(name: string): WebAssembly.Module {
  const file = createRequire(import.meta.url).resolve(name)
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    throw new CoreError('CORE_NOT_BUILT', { cause, detail: file })
  }
  return new WebAssembly.Module(bytes)
}

/** OpenSSL uses the processor's SHA instructions, which WebAssembly does not have. */
export const native: Native | undefined = {
  sha256: (data) => hash('sha256', data, 'buffer'),
  sha256Hex: (text) => hash('sha256', text),
  sha256Stream: () => createHash('sha256'),
  async *decompress(source, options) {
    // Loaded when it is needed: the program starts faster without threads.
    const { decodeInThread } = await import('./thread/decode.ts')
    yield* decodeInThread(source, options)
  },
}

/** SHA-256 beside something that waits: here it is done at once. */
export function hashAside(): AsideHash {
  const stream = createHash('sha256')
  return {
    update(data) {
      stream.update(data)
      return undefined
    },
    digest: () => stream.digest(),
  }
}
