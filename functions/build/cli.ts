/** Builds the program. */
import { build } from 'esbuild'
import packageJSON from '../../package.json' with { type: 'json' }
import { root } from './places.ts'

/**
 * Packages of the bundle: Node needs 150 ms of processor time to find and load their modules, in every verb that calls
 * containerd. What is left out, Node finds among the installed packages.
 */
const BUNDLED = ['@bufbuild/protobuf', '@connectrpc/connect', '@connectrpc/connect-node']

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
    external: Object.keys(packageJSON.dependencies).filter((name) => !BUNDLED.includes(name)),
    logLevel: 'warning',
  })
}
