/** Building the Worker: the same files that `layercast serve` runs and `wrangler deploy --no-bundle` sends. */
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { BuildOptions } from 'esbuild'
import type { Migration } from './migrations.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const SERVE = 'functions/serve/worker'

/**
 * Writes what `layercast serve` runs besides the Worker: the database, the migrations and the two configurations of workerd.
 * These name the Worker as ../worker. It lies in a directory of its own, because wrangler deploys all that lies beside it.
 */
export async function bundleServe(outDir: string): Promise<void> {
  await Promise.all(
    ['database', 'migrate'].map((name) =>
      build({ ...options(join(outDir, `${name}.js`)), entryPoints: [`${SERVE}/${name}.ts`] }),
    ),
  )
  for (const name of ['serve.capnp', 'migrate.capnp']) await copyFile(join(root, SERVE, name), join(outDir, name))
  const migrations = await readMigrations(join(root, 'functions', 'api', 'migrations'))
  await writeFile(join(outDir, 'migrations.json'), JSON.stringify(migrations))
}

/** The migrations (*.sql) of a directory, in the order of their names. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(names.map(async (name) => ({ name, sql: await readFile(join(directory, name), 'utf8') })))
}

/**
 * Bundles a Worker into a directory: index.js, and the WASM core beside it as the module core.wasm.
 * @param entry the Worker's entry, relative to the checkout
 */
export async function bundleWorker(outDir: string, entry = 'functions/api/worker.ts'): Promise<void> {
  await build({
    ...options(join(outDir, 'index.js')),
    entryPoints: [entry],
    plugins: [
      {
        name: 'wasm-as-a-module',
        setup: ({ onResolve }) => {
          // workerd compiles .wasm modules itself: a Worker's code may not compile WASM from bytes.
          onResolve({ filter: /\.wasm$/ }, () => ({ path: './core.wasm', external: true }))
        },
      },
    ],
  })
  await copyFile(join(root, 'core-wasm', 'build', 'core.wasm'), join(outDir, 'core.wasm'))
}

function options(outfile: string) {
  return {
    absWorkingDir: root,
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    mainFields: ['module', 'main'],
    external: ['cloudflare:workers'],
    logLevel: 'warning',
  } satisfies BuildOptions
}
