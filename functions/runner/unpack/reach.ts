/** What of containerd's snapshots can be reached from here, where the runner may have another view of the file systems. */
import type { Stats } from 'node:fs'
import { constants } from 'node:fs'
import { access, lstat, readFile } from 'node:fs/promises'
import type { Mount } from '../../linux/mount-list.ts'
import { lowerDirectories, optionValue } from '../../linux/mount-options.ts'

const CAP_SYS_ADMIN = 21n
/** What types are prefixed with that ask no more of a mount manager than layercast does itself. */
const PREFIXED = /^(?:(?:format|mkdir)\/)*[a-z0-9]+$/u

/** Whether the directory can be looked at from here. */
export async function isVisible(directory: string): Promise<boolean> {
  return (await statOrNone(directory))?.isDirectory() ?? false
}

/**
 * Whether layercast can make these mounts and write to them: everything that they are made of is there, the directory that
 * is written to is not read-only, no helper and no mount manager of containerd's is needed, and mounting is allowed.
 */
export async function canWriteTo(mounts: readonly Mount[]): Promise<boolean> {
  for (const mount of mounts) if (!(await isInReach(mount))) return false
  return isBindAlone(mounts) || (await mayMount())
}

async function isInReach({ type, source, options }: Mount): Promise<boolean> {
  if (!PREFIXED.test(type) || type.startsWith('fuse') || options.some(isManagers)) return false
  const paths = [
    source,
    ...['upperdir', 'workdir'].map((name) => optionValue(options, name)),
    ...lowerDirectories(options),
  ]
  for (const path of paths) {
    // Templates stand for mounts that come before; other names are no paths, such as `overlay`.
    if (path?.startsWith('/') === true && !path.includes('{{') && (await statOrNone(path)) === undefined) return false
  }
  const written = type === 'bind' && !options.includes('ro') ? source : optionValue(options, 'upperdir')
  return written === undefined || written.includes('{{') || (await isWritable(written))
}

function isManagers(option: string): boolean {
  return option.startsWith('X-containerd.')
}

function isBindAlone(mounts: readonly Mount[]): boolean {
  return mounts.length === 1 && mounts[0]?.type === 'bind'
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

async function statOrNone(path: string): Promise<Stats | undefined> {
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
