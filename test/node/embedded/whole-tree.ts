import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Everything below a directory: kinds, modes, times and bytes. Two that are equal are one tree in which nothing was changed. */
export function wholeTree(root: string): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (path: string, name: string): void => {
    const stat = lstatSync(path)
    const content = stat.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('base64url')
      : stat.isSymbolicLink()
        ? readlinkSync(path)
        : ''
    found[name] = `${stat.mode} ${stat.ino} ${stat.mtimeMs} ${stat.ctimeMs} ${content}`
    if (stat.isDirectory()) for (const entry of readdirSync(path)) visit(join(path, entry), `${name}/${entry}`)
  }
  visit(root, '')
  return found
}
