import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dist, root } from './places.ts'

/** The library's declarations, in dist/types. Fails with the compiler's own words where the types do not hold. */
export async function buildTypes(): Promise<void> {
  const config = join(dist, 'tsconfig.types.json')
  await mkdir(dist, { recursive: true })
  await writeFile(
    config,
    JSON.stringify({
      extends: '../tsconfig.json',
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: '..',
        outDir: './types',
      },
      include: [],
      files: ['../functions/index.ts'],
    }),
  )
  try {
    await promisify(execFile)(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', config])
  } catch (error) {
    throw new Error(`the declarations do not build: ${(error as { stdout?: string }).stdout ?? ''}`, { cause: error })
  } finally {
    await rm(config, { force: true })
  }
}
