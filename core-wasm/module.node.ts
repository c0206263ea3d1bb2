// How the core gets into Node: its bytes from the package, and what Node has natively.
import { createHash, hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { CoreError } from './errors.ts'
import type { Native } from './native.ts'

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  const file = createRequire(import.meta.url).resolve('#core.wasm')
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
}
