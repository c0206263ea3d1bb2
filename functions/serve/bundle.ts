/** Building the Worker: the very files that `layercast serve` runs and `wrangler deploy --no-bundle` sends. */
import { build } from 'esbuild'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Bundles the Worker into a directory: index.js, and the WASM core beside it as the module core.wasm.
 * @param entry another Worker's module, from the checkout on
 */
export async function bundleWorker(outDir: string, entry = 'functions/api/index.ts'): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: join(outDir, 'index.js'),
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    mainFields: ['module', 'main'],
    external: ['cloudflare:workers'],
    logLevel: 'warning',
    plugins: [
      {
        name: 'wasm-as-a-module',
        setup: ({ onResolve }) => {
          // workerd compiles a .wasm module itself; code in a Worker may not compile bytes.
          onResolve({ filter: /\.wasm$/ }, () => ({ path: './core.wasm', external: true }))
        },
      },
    ],
  })
  await copyFile(join(root, 'core-wasm', 'build', 'core.wasm'), join(outDir, 'core.wasm'))
}
