import { mkdtemp, readdir, readFile, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { count } from '../cli/program/text.ts'
import { hasCode } from '../errors.ts'
import type { Mount } from '../linux/mount-list.ts'
import { mountAll } from '../linux/mount.ts'
import { walk } from './walk.ts'

/**
 * Mounts the root file system for as long as it takes to look, and says what is in it. Undefined where this user may not
 * mount.
 */
export async function lookInside(mounts: readonly Mount[]): Promise<string | undefined> {
  const place = await mkdtemp(join(tmpdir(), 'layercast-demo-'))
  try {
    const unmount = await mountAll(mounts, place)
    try {
      const top = (await readdir(place)).sort()
      const all = await walk(place)
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

/** The command by which a person mounts it at /mnt. Overlay's directories are named from where they all lie. */
export function mountCommand(mounts: readonly Mount[], root: string): string {
  const short = (path: string): string => path.replaceAll(`${root}/`, '')
  const commands = mounts.map(({ type, source, options }) =>
    type === 'bind'
      ? `mount --bind ${quote(short(source))} /mnt`
      : `mount -t ${type} ${quote(source)} -o ${quote(short(options.join(',')))} /mnt`,
  )
  return [`cd ${quote(root)}`, ...commands].join(' && ')
}

async function firstLine(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    return text.split('\n')[0] ?? ''
  } catch {
    // An image need not have one, and may have a directory of that name.
    return ''
  }
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
