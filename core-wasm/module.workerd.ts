// How the core gets into workerd, which compiles no WebAssembly at run time: as a module of the Worker.
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
