/** A look at the root file system that the demo has made. */

import { mkdtemp, readdir, readFile, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { count, shellWord } from '../cli/program/text.ts'
import { hasCode } from '../errors.ts'
import type { Mount } from '../linux/mount-list.ts'
import { mountAll } from '../linux/mount.ts'
import { namesBelow } from './names.ts'

/** Mounts the root file system, lists what is in it, and unmounts it. Undefined where this user may not mount. */
export async function lookInside(mounts: readonly Mount[]): Promise<string | undefined> {
  const place = await mkdtemp(join(tmpdir(), 'layercast-demo-'))
  try {
    const unmount = await mountAll(mounts, place)
    try {
      const top = (await readdir(place)).sort()
      const all = await namesBelow(place)
      const motd = top.includes('etc') ? await firstLine(join(place, 'etc', 'motd')) : ''
      return `${count(all.length, 'file')} and directories: /${top.join(' /')}${motd && `  (${motd})`}`
    } finally {
      await unmount()
    }
  } catch (error) {
    if (hasCode(error, 'SYSTEM_CALL_FAILED')) return undefined
    throw error
  } finally {
    await rmdir(place)
  }
}

/** A shell command that mounts it at /mnt. It changes to `root` first, so that overlay's directories have short names. */
export function mountCommand(mounts: readonly Mount[], root: string): string {
  const short = (path: string): string => path.replaceAll(`${root}/`, '')
  const commands = mounts.map(({ type, source, options }) =>
    type === 'bind'
      ? `mount --bind ${shellWord(short(source))} /mnt`
      : `mount -t ${type} ${shellWord(source)} -o ${shellWord(short(options.join(',')))} /mnt`,
  )
  return [`cd ${shellWord(root)}`, ...commands].join(' && ')
}

async function firstLine(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    return text.split('\n')[0] ?? ''
  } catch {
    // Not every image has this file.
    return ''
  }
}
