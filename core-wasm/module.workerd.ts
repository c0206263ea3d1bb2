/** The core in workerd, which compiles no WebAssembly at run time: the compiled module is imported as a module of the Worker. */
import { sha384, sha512 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import module from '#core.wasm'
import type { AsyncHash, Native } from './native.ts'

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return module
}

/** workerd has no synchronous hashing of its own without Node's compatibility layer. */
export const native: Native | undefined = undefined

/** A SHA-256 for a caller that can wait: workerd hashes natively what is written to a stream. */
export function asyncHash(): AsyncHash {
  const stream = new crypto.DigestStream('SHA-256')
  const writer = stream.getWriter()
  return {
    update: (data) => writer.write(data),
    async digest() {
      await writer.close()
      return new Uint8Array(await stream.digest)
    },
  }
}

/** The longer hashes of FIPS 180-4, as hexadecimal digits. */
export function longHashHex(algorithm: 'sha384' | 'sha512', data: Uint8Array): string {
  return bytesToHex((algorithm === 'sha384' ? sha384 : sha512)(data))
}
