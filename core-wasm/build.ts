/**
 * Compiles the AssemblyScript core to core-wasm/build/, and puts the code of its decoding threads beside it. Also runnable:
 * `node core-wasm/build.ts`.
 */
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { main } from 'assemblyscript/asc'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
/** The core twice: with a memory of its own, and for threads, with a memory that is handed to it and shared. */
const CORES = { release: join(here, 'build', 'core.wasm'), shared: join(here, 'build', 'core-shared.wasm') }
const thread = join(here, 'build', 'decode-worker.js')

/** When the newest file that the core is made of was changed, in milliseconds. */
async function newestInput(): Promise<number> {
  const assembly = join(here, 'assembly')
  const names = await readdir(assembly, { recursive: true })
  const files = names.filter((name) => name.endsWith('.ts')).map((name) => join(assembly, name))
  const times = await Promise.all(
    [...files, join(here, 'asconfig.json')].map(async (file) => (await stat(file)).mtimeMs),
  )
  return Math.max(...times)
}

async function timeOf(output: string): Promise<number> {
  try {
    return (await stat(output)).mtimeMs
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}

/** Makes what is loaded at run time: the core, with its own and with a shared memory, and the code of the decoding threads. */
export async function buildCore(): Promise<void> {
  await mkdir(dirname(thread), { recursive: true })
  await Promise.all([bundleThread(), compile('release'), compile('shared')])
}

/** Writes the file whole or not at all: another process may read it, or build it too. */
async function put(file: string, content: Uint8Array): Promise<void> {
  const part = `${file}.${process.pid}`
  await writeFile(part, content)
  await rename(part, file)
}

/** What a decoding thread runs is one file of JavaScript, the same for a checkout and for a bundle of the program. */
async function bundleThread(): Promise<void> {
  const { outputFiles } = await build({
    absWorkingDir: join(here, '..'),
    entryPoints: ['core-wasm/thread/worker.ts'],
    outfile: thread,
    write: false,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'warning',
  })
  for (const { path, contents } of outputFiles) await put(path, contents)
}

/** Compiles the core, unless the output is newer than all it is made of. */
async function compile(target: keyof typeof CORES): Promise<void> {
  const output = CORES[target]
  if ((await timeOf(output)) > (await newestInput())) return
  const said: string[] = []
  let binary: Uint8Array | undefined
  const { error } = await main(
    [
      'exports.ts',
      '--config',
      '../asconfig.json',
      '--baseDir',
      join(here, 'assembly'),
      '--target',
      target,
      '--outFile',
      'core.wasm',
    ],
    {
      stdout: { write: () => true },
      stderr: { write: (chunk: Uint8Array | string) => (said.push(String(chunk)), true) },
      writeFile: (name: string, content: Uint8Array | string) => {
        if (name === 'core.wasm' && typeof content !== 'string') binary = content
      },
    },
  )
  if (error !== null || binary === undefined) {
    throw new Error(`the core does not compile:\n${said.join('')}`, { cause: error })
  }
  await put(output, binary)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCore()
