/** Whose a directory is: told before anything is written there, and by nothing that can be there by chance. */
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

/** The whole content of the mark. It never varies, so that two processes that write it at once write the same. */
const MARK = `layercast.root/v1
This directory belongs to layercast, which removes what it made here and no longer needs.
Leave this file where it is: without it layercast takes the directory for somebody else's.
`

/**
 * What a root is. `absent`: not there, or empty, or begun by a process that was killed: nothing is lost by making it.
 * `whole`: marked, with a database file. `unmarked`: a database file and no mark, as layercast wrote until it had marks.
 * `headless`: layercast's, with content and no database file.
 */
export type RootState = 'absent' | 'whole' | 'unmarked' | 'headless'

/**
 * Looks at a root and changes nothing. ROOT_FOREIGN for a directory that holds something and is not layercast's;
 * SYSTEM_CALL_FAILED where a file stands in its way.
 */
export function rootState(layout: Layout): RootState {
  const names = namesIn(layout)
  if (names === undefined) return 'absent'
  const marked = isMarked(layout)
  const there = (): RootState | undefined => (existsSync(layout.database) ? (marked ? 'whole' : 'unmarked') : undefined)
  const before = there()
  if (before !== undefined) return before
  const begun = names.every((name) => isNothing(layout, name, marked))
  // Once more: the database of a process that is making the root comes before the content that it names.
  const after = there()
  if (after !== undefined) return after
  if (begun) return 'absent'
  if (marked || looksLikeRoot(layout)) return 'headless'
  throw foreignRoot(layout)
}

/** Whether the directories are there that every layercast made, whatever has become of the database. */
export function looksLikeRoot(layout: Layout): boolean {
  return oldDirectories(layout).every((path) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
}

export function foreignRoot({ root }: Layout, cause?: unknown): LayercastError {
  return new LayercastError('ROOT_FOREIGN', `${root} is not empty, and not a root of layercast's`, {
    fix: 'Give an empty or a new directory with --root. Nothing was changed.',
    detail: { root },
    ...(cause === undefined ? {} : { cause }),
  })
}

export function cannotOpen({ root }: Layout, cause: unknown): LayercastError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new LayercastError('SYSTEM_CALL_FAILED', `the embedded root ${root} cannot be opened: ${why}`, {
    cause,
    fix: 'Choose a directory that this user may use with --root, or run as root.',
    detail: { root },
  })
}

/** Marks the root, which is made where it is not there. Only after `rootState` has said that it is layercast's to mark. */
export function writeMark(layout: Layout): void {
  if (isMarked(layout)) return
  makeDirectory(layout.root, 0o711)
  const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants
  const file = openSync(layout.mark, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o644)
  try {
    writeSync(file, MARK, 0)
    // On the disk before anything that it stands for.
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Whether the mark is there, whole. */
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
    // A directory that may be passed and not listed (0711) still shows whether it is ours.
    if ((cause as NodeJS.ErrnoException).code === 'EACCES' && existsSync(layout.mark)) return [basename(layout.mark)]
    throw cannotOpen(layout, cause)
  }
}

/** Whether an entry of the root holds nothing: the beginning of a mark, or one of layercast's directories with no file in it. */
function isNothing(layout: Layout, name: string, marked: boolean): boolean {
  const path = join(layout.root, name)
  if (path === layout.mark) return MARK.startsWith(markText(path) ?? '-')
  if (![...oldDirectories(layout), layout.records].includes(path) || !lstatSync(path).isDirectory()) return false
  // A database that is being made lies in `ingest` until it is whole.
  if (path === layout.ingest && marked) return true
  return path === layout.snapshots ? readdirSync(path).length === 0 : holdsNoFile(path)
}

function holdsNoFile(path: string): boolean {
  return readdirSync(path, { withFileTypes: true }).every(
    (entry) => entry.isDirectory() && holdsNoFile(join(path, entry.name)),
  )
}
