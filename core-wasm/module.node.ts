/** The core in Node: the compiled module read from the package, and what Node does natively. */
import type * as NodeCrypto from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { CoreError } from './errors.ts'
import type { AsyncHash, Native } from './native.ts'

let loaded: typeof NodeCrypto | undefined
/** Loaded when it is needed: that takes milliseconds, and a program that only decompresses does not hash. */
function crypto(): typeof NodeCrypto {
  loaded ??= process.getBuiltinModule('node:crypto')
  return loaded
}

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return compiled('#core.wasm')
}

let shared: WebAssembly.Module | undefined
/** The core whose memory is shared between threads. */
function sharedModule(): WebAssembly.Module {
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

/** Small data may decompress to very much. Beyond this the core decompresses it, which hands it out in pieces. */
const OUTPUT_MAX = 0x100000

/** OpenSSL uses the processor's SHA instructions, which WebAssembly does not have. */
export const native: Native | undefined = {
  sha256: (data) => crypto().hash('sha256', data, 'buffer'),
  sha256Hex: (data) => crypto().hash('sha256', data),
  sha256Stream: () => crypto().createHash('sha256'),
  gunzip(data, limit) {
    try {
      const { buffer, engine } = process.getBuiltinModule('node:zlib').gunzipSync(data, {
        info: true,
        maxOutputLength: Math.min(limit, OUTPUT_MAX),
      }) as unknown as {
        buffer: Uint8Array
        engine: { bytesWritten: number }
      }
      return engine.bytesWritten === data.length ? buffer : undefined
    } catch (error) {
      // The core decompresses the same data then, and says by its own codes what is wrong with it.
      void error
      return undefined
    }
  },
  async *decompress(source, options) {
    // Loaded when it is needed: the program starts faster without threads.
    const { decodeInThread } = await import('./thread/decode.ts')
    yield* decodeInThread(source, options, sharedModule)
  },
}

/** A SHA-256 for a caller that can wait. In Node it never makes the caller wait. */
export function asyncHash(): AsyncHash {
  const stream = crypto().createHash('sha256')
  return {
    update(data) {
      stream.update(data)
      return undefined
    },
    digest: () => stream.digest(),
  }
}

/** The longer hashes of FIPS 180-4, as hexadecimal digits. */
export function longHashHex(algorithm: 'sha384' | 'sha512', data: Uint8Array): string {
  return crypto().hash(algorithm, data)
}
