import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './places.ts'

/** The library's declarations, in a directory. Fails with the compiler's own words where the types do not hold. */
export async function buildTypes(directory: string): Promise<void> {
  // A configuration is the only way to give the compiler this project's options and another set of files.
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
