/** Programs of the tests that run in processes of their own. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { alive } from './containerd/processes.ts'

/** In the checkout, as deep as `dist/cli`, so that the core's imports (`#core.wasm`) resolve; git ignores it. */
const PLACE = fileURLToPath(new URL('../.children', import.meta.url))

const built = new Map<string, Promise<string>>()

/**
 * Builds a TypeScript program into one file, once in this process. Node starts that file with a quarter of the work that some
 * three hundred modules, the packages' among them, would be; and tests start hundreds of children.
 * @param source the program's module
 * @returns the file to give to Node
 */
export function childProgram(source: string): Promise<string> {
  const there = built.get(source) ?? buildProgram(source)
  built.set(source, there)
  return there
}

async function buildProgram(source: string): Promise<string> {
  await mkdir(PLACE, { recursive: true })
  for (const name of await readdir(PLACE)) {
    if (!alive(Number(name.split('.')[0]))) await rm(join(PLACE, name), { force: true })
  }
  const file = join(PLACE, `${process.pid}.${basename(source, '.ts')}.mjs`)
  await build({
    entryPoints: [source],
    outfile: file,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Native, and found from where it lies.
    external: ['koffi'],
    logLevel: 'warning',
  })
  return file
}
