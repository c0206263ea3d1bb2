// Compiles the AssemblyScript core to core-wasm/build/core.wasm. Also runnable: `node core-wasm/build.ts`.
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { main } from 'assemblyscript/asc'

const here = dirname(fileURLToPath(import.meta.url))
const output = join(here, 'build', 'core.wasm')

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

async function outputTime(): Promise<number> {
  try {
    return (await stat(output)).mtimeMs
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}

/** Compiles the core, unless the output is newer than all it is made of. */
export async function buildCore(): Promise<void> {
  if ((await outputTime()) > (await newestInput())) return
  const said: string[] = []
  let binary: Uint8Array | undefined
  const { error } = await main(
    [
      'index.ts',
      '--config',
      '../asconfig.json',
      '--baseDir',
      join(here, 'assembly'),
      '--target',
      'release',
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
  await mkdir(dirname(output), { recursive: true })
  // Whole or not at all: another process may read it, or build it too.
  const part = `${output}.${process.pid}`
  await writeFile(part, binary)
  await rename(part, output)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCore()
