import { build } from 'esbuild'
import { root } from './places.ts'

/** The CLI: one small entry, and a chunk per thing that a verb loads when it runs, so that `--help` loads none of them. */
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
