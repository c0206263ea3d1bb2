/**
 * `npm run build`: everything that runs as JavaScript, put together in dist/. `--types` adds the declarations that a
 * published package carries; `npm ci` leaves them out, because nothing in a checkout reads them.
 */
import { buildCLI } from './cli.ts'
import { buildCore } from '../../core-wasm/build.ts'
import { buildLibrary } from './library.ts'
import { bundleWorker } from '../serve/bundle.ts'
import { linkBin } from './link-bin.ts'
import { buildTypes } from './types.ts'
import { dist, root } from './places.ts'
import { join } from 'node:path'
import { rm } from 'node:fs/promises'

const started = performance.now()
await buildCore()
for (const place of ['index.js', 'index.workerd.js', 'cli', 'worker', 'types']) {
  await rm(join(dist, place), { recursive: true, force: true })
}
await Promise.all([
  buildLibrary(),
  buildCLI(),
  bundleWorker(join(dist, 'worker')),
  linkBin(root),
  ...(process.argv.includes('--types') ? [buildTypes()] : []),
])
process.stderr.write(`built dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
