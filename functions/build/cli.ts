/** Builds the program. */
import { build } from 'esbuild'
import { root } from './places.ts'

/** Builds the CLI: a small entry, and a chunk for each module that a verb loads when it runs, so that `--help` loads none. */
export async function buildCLI(directory: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ['functions/cli/main.ts'],
    outdir: directory,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    packages: 'external',
    logLevel: 'warning',
  })
}
