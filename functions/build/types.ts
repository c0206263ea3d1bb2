/** Builds the library's declarations. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './places.ts'

/** Writes the library's declarations into a directory. Throws with the compiler's output where the types are wrong. */
export async function buildTypes(directory: string): Promise<void> {
  // The compiler takes this project's options with another set of files from a configuration file only.
  const place = await mkdtemp(join(root, 'node_modules', '.layercast-types-'))
  const config = join(place, 'tsconfig.json')
  await writeFile(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: root,
        outDir: directory,
      },
      include: [],
      files: [join(root, 'functions', 'library.ts')],
    }),
  )
  try {
    await promisify(execFile)(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', config])
  } catch (error) {
    throw new Error(`the declarations do not build: ${(error as { stdout?: string }).stdout ?? ''}`, { cause: error })
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}
