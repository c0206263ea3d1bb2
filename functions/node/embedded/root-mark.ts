/** Whether a directory is a root of layercast's. This is known before anything is written there, by a mark that is not there by chance. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
  constants,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { LayercastError } from '../../errors.ts'
import { makeDirectory } from '../../linux/make-directory.ts'
import { oldDirectories, type Layout } from './layout.ts'

/** The whole content of the mark. It is constant, so that two processes can write it at once. */
const MARK = `layercast.root/v1
This directory belongs to layercast, which removes what it made here and no longer needs.
Leave this file where it is: without it layercast takes the directory for somebody else's.
`

/**
 * What a root is.
 * - `absent`: missing, or empty, or half made by a process that was killed. It can be made without a loss.
 * - `whole`: marked, with a database file.
 * - `unmarked`: with a database file and no mark, as layercast left roots before it had marks.
 * - `headless`: layercast's, with content and without a database file.
 */
export type RootState = 'absent' | 'whole' | 'unmarked' | 'headless'

/**
 * Looks at a root and changes nothing. ROOT_FOREIGN for a directory that is not empty and not layercast's; SYSTEM_CALL_FAILED where
 * something else than a directory is at the path.
 */
export function rootState(layout: Layout): RootState {
  const names = namesIn(layout)
  if (names === undefined) return 'absent'
  const marked = isMarked(layout)
  const there = (): RootState | undefined => (existsSync(layout.database) ? (marked ? 'whole' : 'unmarked') : undefined)
  const before = there()
  if (before !== undefined) return before
  const begun = names.every((name) => isNothing(layout, name, marked))
  // Once more: another process may be making the root, and the database comes before the content that it names.
  const after = there()
  if (after !== undefined) return after
  if (begun) return 'absent'
  if (marked || looksLikeRoot(layout)) return 'headless'
  throw foreignRoot(layout)
}

/** Whether all directories exist that every version of layercast makes in a root, with or without a database. */
export function looksLikeRoot(layout: Layout): boolean {
  return oldDirectories(layout).every((path) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
}

/** ROOT_FOREIGN. */
export function foreignRoot({ root }: Layout, cause?: unknown): LayercastError {
  return new LayercastError('ROOT_FOREIGN', `${root} is not empty, and not a root of layercast's`, {
    fix: 'Give an empty or a new directory with --root. Nothing was changed.',
    detail: { root },
    cause,
  })
}

/** SYSTEM_CALL_FAILED. */
export function cannotOpen({ root }: Layout, cause: unknown): LayercastError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new LayercastError('SYSTEM_CALL_FAILED', `the embedded root ${root} cannot be opened: ${why}`, {
    cause,
    fix: 'Choose a directory that this user may use with --root, or run as root.',
    detail: { root },
  })
}

/** Writes the mark into the root, which is created where it does not exist. Only after `rootState`, which throws for foreign directories. */
export function writeMark(layout: Layout): void {
  if (isMarked(layout)) return
  makeDirectory(layout.root, 0o711)
  const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants
  const file = openSync(layout.mark, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o644)
  try {
    writeSync(file, MARK, 0)
    // The mark must be on the disk before anything else is written.
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Whether the complete mark is there. */
function isMarked({ mark }: Layout): boolean {
  return markText(mark) === MARK
}

function markText(mark: string): string | undefined {
  if (lstatSync(mark, { throwIfNoEntry: false })?.isFile() !== true) return undefined
  return readFileSync(mark, 'utf8')
}

function namesIn(layout: Layout): string[] | undefined {
  let place = layout.root
  while (!existsSync(place)) place = dirname(place)
  if (!statSync(place).isDirectory()) throw cannotOpen(layout, new Error(`${place} is not a directory`))
  if (place !== layout.root) return undefined
  try {
    return readdirSync(layout.root)
  } catch (cause) {
    // In a directory that this user may search but not list (0711) the mark can still be seen.
    if ((cause as NodeJS.ErrnoException).code === 'EACCES' && existsSync(layout.mark)) return [basename(layout.mark)]
    throw cannotOpen(layout, cause)
  }
}

/** Whether nothing is lost with an entry of the root: it is the beginning of a mark, or a directory of layercast's without files. */
function isNothing(layout: Layout, name: string, marked: boolean): boolean {
  const path = join(layout.root, name)
  if (path === layout.mark) return MARK.startsWith(markText(path) ?? '-')
  if (![...oldDirectories(layout), layout.records].includes(path) || !lstatSync(path).isDirectory()) return false
  // A database that is being made is in `ingest` until it is complete.
  if (path === layout.ingest && marked) return true
  return path === layout.snapshots ? readdirSync(path).length === 0 : holdsNoFile(path)
}

function holdsNoFile(path: string): boolean {
  return readdirSync(path, { withFileTypes: true }).every(
    (entry) => entry.isDirectory() && holdsNoFile(join(path, entry.name)),
  )
}
