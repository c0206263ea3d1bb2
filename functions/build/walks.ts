/** Holds the walks of a README against the code: which files one leads through, and that none climbs back up. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Each module of the tree, with the modules that it imports. */
export type ImportGraph = ReadonlyMap<string, { files: readonly string[] }>

/**
 * Everything that is wrong with the walks of a folder's README.md, one sentence each; empty where nothing is. A walk is a paragraph
 * that begins with its name in bold. It names modules by their path from the folder on, as code, in the order in which the
 * work goes through them: each is there, stands once, and does not import one that stands before it.
 * @param root the checkout
 */
export function falseWalks(root: string, folder: string, graph: ImportGraph): string[] {
  return readFileSync(join(root, folder, 'README.md'), 'utf8')
    .split(/\n\s*\n/)
    .flatMap((paragraph) => {
      const title = /^\*\*(?<title>[^*]+?)\.?\*\*/.exec(paragraph)?.groups?.['title']
      if (title === undefined) return []
      const named = [...paragraph.matchAll(/`(?<path>[\w./-]+\.ts)`/g)].map(
        ({ groups }) => `${folder}/${groups?.['path'] ?? ''}`,
      )
      return named.flatMap((file, index) =>
        wrongWith(file, named.slice(0, index), graph).map((wrong) => `${folder}/README.md, ${title}: ${wrong}`),
      )
    })
}

function wrongWith(file: string, before: readonly string[], graph: ImportGraph): string[] {
  const imports = graph.get(file)
  if (imports === undefined) return [`${file} is not there`]
  if (before.includes(file)) return [`${file} stands twice`]
  return before
    .filter((earlier) => imports.files.includes(earlier))
    .map((earlier) => `${file} imports ${earlier}, which stands before it`)
}
