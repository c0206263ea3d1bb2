/** Holds what comments cite against it: `NAME.md section N, step M` names a file of the tree, and a section and step in it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const CITATION =
  /(?<name>[\w./-]+\.md) section (?<section>\d+)(?:, steps? (?<first>\d+)(?: (?:and|to) (?<last>\d+))?)?/g

/** What a Markdown file numbers: its sections (`## 2. Title`), and the items of each (`8. Text`). */
type Sections = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Every citation of a file, section or step that is not there, one sentence each; empty where all are.
 * @param root the checkout
 * @param tops the folders of it whose modules may cite, and be the place of what is cited
 */
export function falseCitations(root: string, tops: readonly string[]): string[] {
  const files = tops.flatMap((top) => filesBelow(root, top))
  const documents = new Map<string, Sections>()
  for (const file of files)
    if (file.endsWith('.md')) documents.set(file, sectionsOf(readFileSync(join(root, file), 'utf8')))
  return files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => falseIn(file, readFileSync(join(root, file), 'utf8'), documents))
}

function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? filesBelow(root, path) : [path]
  })
}

function sectionsOf(text: string): Sections {
  const parts = text.split(/^#+ (\d+)\. /m).slice(1)
  const sections = new Map<string, Set<string>>()
  for (let index = 0; index < parts.length; index += 2) {
    const items = [...(parts[index + 1] ?? '').matchAll(/^ {0,3}(\d+)\. /gm)].map(([, number = '']) => number)
    sections.set(parts[index] ?? '', new Set(items))
  }
  return sections
}

function falseIn(file: string, text: string, documents: ReadonlyMap<string, Sections>): string[] {
  // A citation may go over the end of a comment's line.
  const joined = text.replaceAll(/\s*\n\s*(?:\*|\/\/)?\s*/g, ' ')
  return [...joined.matchAll(CITATION)].flatMap(({ groups = {} }) => {
    const { name = '', section = '', first, last } = groups
    const document = [...documents.keys()].find((path) => path === name || path.endsWith(`/${name}`))
    if (document === undefined) return [`${file} cites ${name}, which is not there`]
    const steps = documents.get(document)?.get(section)
    if (steps === undefined) return [`${file} cites ${name} section ${section}, which is not there`]
    return [first, last]
      .filter((step) => step !== undefined && !steps.has(step))
      .map((step) => `${file} cites ${name} section ${section}, step ${step}, which is not there`)
  })
}
