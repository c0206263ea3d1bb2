/**
 * `npm run build`: builds everything that runs as JavaScript into dist/. `--types` adds the declarations that a published
 * package carries; `npm ci` leaves them out, because nothing in a checkout reads them.
 */
import { existsSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildCore } from '../../core-wasm/build.ts'
import { bundleServe, bundleWorker } from '../serve/bundle.ts'
import { buildCLI } from './cli.ts'
import { buildLibrary } from './library.ts'
import { dist } from './places.ts'
import { buildTypes } from './types.ts'

// The first `npx layercast` in a checkout links it into npx's cache, which runs `prepare` again. The build is left as it is then:
// a server that was started from it may be running.
const calledByNpx = process.env['npm_command'] === 'exec' && existsSync(join(dist, 'cli', 'main.js'))
try {
  if (!calledByNpx) await buildAll()
} catch (error) {
  // No stack: esbuild has printed what is wrong with the code, or the message says it.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function buildAll(): Promise<void> {
  const started = performance.now()
  // Built aside and moved into place when it is whole, so that a build that fails leaves the last good one.
  const made = join(dist, '.made')
  await rm(made, { recursive: true, force: true })
  await buildCore()
  await Promise.all([
    buildLibrary(made),
    buildCLI(join(made, 'cli')),
    bundleWorker(join(made, 'worker')),
    bundleServe(join(made, 'serve')),
  ])
  if (process.argv.includes('--types')) await buildTypes(join(made, 'types'))
  for (const name of await readdir(made)) {
    await rm(join(dist, name), { recursive: true, force: true })
    await rename(join(made, name), join(dist, name))
  }
  await rm(made, { recursive: true })
  process.stderr.write(`built dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}
