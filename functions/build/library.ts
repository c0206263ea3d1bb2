/** Builds the library. */
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

/** Builds what `import { plan } from 'layercast'` gives: one module for Node, and one for Workers, which imports the WASM as a module. */
export async function buildLibrary(directory: string): Promise<void> {
  await Promise.all([
    // Split: what only a large blob needs is a chunk of its own, loaded then.
    build({
      ...shared,
      entryPoints: [{ in: 'functions/library.ts', out: 'index' }],
      outdir: directory,
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
      // Left to the bundler of the library's user: it knows how its host takes a WASM module.
      external: ['#core.wasm'],
    }),
  ])
}
