import { join } from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import { root } from './places.ts'

const shared: BuildOptions = {
  absWorkingDir: root,
  entryPoints: ['functions/library.ts'],
  bundle: true,
  format: 'esm',
  target: 'es2024',
  logLevel: 'warning',
}

/** The library, `import { plan } from 'layercast'`: one file for Node, one for Workers, which import the WASM as a module. */
export async function buildLibrary(directory: string): Promise<void> {
  await Promise.all([
    // Split, so that what only a large blob needs is not loaded with the rest.
    build({
      ...shared,
      outdir: directory,
      entryNames: '[name]',
      chunkNames: 'chunks/[name]-[hash]',
      splitting: true,
      platform: 'node',
      packages: 'external',
    }),
    build({
      ...shared,
      outfile: join(directory, 'index.workerd.js'),
      platform: 'neutral',
      conditions: ['workerd', 'worker', 'browser'],
      mainFields: ['module', 'main'],
      // Left for the bundler of whoever uses the library, which knows how its host takes a WASM module.
      external: ['#core.wasm'],
    }),
  ])
}
