/** Where runners make the directories that they mount at. Apart from mounted.ts, so that a look binds no system calls. */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The directories that hold them, the preferred one first; not all are there. */
export function mountDirectories(): string[] {
  const user = process.getuid?.() ?? 0
  return [...(user === 0 ? ['/run/layercast/mounts'] : []), join(tmpdir(), `layercast-${user}`)]
}

/** Whether anyone mounts at the first of them, or was killed while it did. */
export function anyMountPlace(): boolean {
  try {
    return readdirSync(mountDirectories()[0] ?? '').some((name) => !name.startsWith('.'))
  } catch (error) {
    // Not there, or not for this user to look into: then nothing of this user's is in it.
    if (error instanceof Error && 'code' in error && ['ENOENT', 'EACCES'].includes(`${error.code}`)) return false
    throw error
  }
}
