/** Runs tests over several versions of containerd. */
import { describe } from 'vitest'
import { matrix, programs, type ContainerdVersion } from './versions.ts'

/**
 * The same tests over every containerd of the matrix; a version that cannot run here is skipped, and its title says why.
 * Await it at the top of a test file: it builds the versions that are not built yet.
 */
export async function describeContainerd(title: string, tests: (version: ContainerdVersion) => void): Promise<void> {
  for (const version of matrix()) {
    const found = await programs(version)
    const missing = 'missing' in found ? ` (skipped: ${found.missing})` : ''
    describe.skipIf(missing !== '')(`${title}, containerd ${version}${missing}`, () => {
      tests(version)
    })
  }
}
