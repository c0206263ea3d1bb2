/** Lists a directory below a root. */
import { lstatSync, readdirSync, type Dirent } from 'node:fs'

/** The entries of a directory; none where there is none at the path, or only a link to one. */
export function entriesOf(path: string): Dirent[] {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return []
  return readdirSync(path, { withFileTypes: true })
}
