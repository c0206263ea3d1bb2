/**
 * `npm run build`: everything that runs as JavaScript, put together in dist/. `--types` adds the declarations that a
 * published package carries; `npm ci` leaves them out, because nothing in a checkout reads them.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildCore } from '../../core-wasm/build.ts'
import { bundleWorker } from '../serve/bundle.ts'
import { buildCLI } from './cli.ts'
import { buildLibrary } from './library.ts'
import { dist } from './places.ts'
import { buildTypes } from './types.ts'

// The first `npx layercast` in a checkout links it into npx's cache, which runs `prepare` again. What is built stays then:
// a server that was started from it may still be running.
const calledByNpx = process.env['npm_command'] === 'exec' && existsSync(join(dist, 'cli', 'main.js'))
if (!calledByNpx) await buildAll()

async function buildAll(): Promise<void> {
  const started = performance.now()
  await buildCore()
  await rm(dist, { recursive: true, force: true })
  await Promise.all([buildLibrary(), buildCLI(), bundleWorker(join(dist, 'worker'))])
  if (process.argv.includes('--types')) await buildTypes()
  process.stderr.write(`built dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}
