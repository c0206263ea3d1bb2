// How the core gets into workerd, which compiles no WebAssembly at run time: as a module of the Worker.
import module from '#core.wasm'
import type { Native } from './native.ts'

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return module
}

/** workerd has no synchronous hashing of its own without Node's compatibility layer. */
export const native: Native | undefined = undefined
