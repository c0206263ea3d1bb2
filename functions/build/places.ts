/** Where the checkout is. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout's directory. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Where the build goes. */
export const dist = join(root, 'dist')
