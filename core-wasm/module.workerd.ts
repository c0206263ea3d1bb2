// How the core gets into workerd, which compiles no WebAssembly at run time: as a module of the Worker.
import { sha384, sha512 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import module from '#core.wasm'
import type { AsideHash, Native } from './native.ts'

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return module
}

/** workerd has no synchronous hashing of its own without Node's compatibility layer. */
export const native: Native | undefined = undefined

/** SHA-256 beside something that waits: workerd hashes natively what it is handed as a stream. */
export function hashAside(): AsideHash {
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
