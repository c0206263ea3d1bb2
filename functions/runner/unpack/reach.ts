/** Which of containerd's snapshots can be reached from here: in a container, the runner may see other file systems. */
import type { Stats } from 'node:fs'
import { constants } from 'node:fs'
import { access, lstat, readFile } from 'node:fs/promises'
import type { Mount } from '../../linux/mount-list.ts'
import { isMadeHere, placesOf, soleBind, writtenDirectory } from '../../linux/plain-mounts.ts'

const CAP_SYS_ADMIN = 21n

/** Whether the directory can be looked at from here. */
export async function isVisible(directory: string): Promise<boolean> {
  return (await lstatOrNone(directory))?.isDirectory() ?? false
}

/**
 * Whether layercast can make these mounts and write to them: everything that they are made of is there, the directory that
 * is written to is not read-only, no helper and no mount manager of containerd's is needed, and mounting is allowed.
 */
export async function canWriteTo(mounts: readonly Mount[]): Promise<boolean> {
  for (const mount of mounts) if (!(await isInReach(mount))) return false
  return soleBind(mounts)?.plain === true || (await mayMount())
}

async function isInReach(mount: Mount): Promise<boolean> {
  if (!isMadeHere(mount)) return false
  for (const path of placesOf(mount)) if ((await lstatOrNone(path)) === undefined) return false
  const written = writtenDirectory(mount)
  return written === undefined || (await isWritable(written))
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK)
    return true
  } catch (error) {
    if (isCode(error, 'EACCES', 'EROFS', 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}

async function mayMount(): Promise<boolean> {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/mu.exec(await readFile('/proc/self/status', 'utf8')) ?? []
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n
}

async function lstatOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return undefined
    throw error
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
