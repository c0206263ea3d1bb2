/**
 * Holds a source tree against its table of rooms: what each module imports, types included; circles among files and among
 * folders; a name that two modules export; a README in every room; citations of what is not there; walks that climb back up. oxlint's own rule compares the text
 * of an import, not the file that it leads to.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, normalize, sep } from 'node:path'
import { parseSync } from 'oxc-parser'
import { falseCitations } from './citations.ts'
import type { Room } from './rooms.ts'
import { falseWalks } from './walks.ts'

const TABLE = 'functions/build/rooms.ts'

/** The most lines of a README: what one screen shows. */
const SCREEN_LINES = 50

/** Folders with no modules of the project's: generated code, AssemblyScript (another compiler's), SQL. */
const NOT_ROOMS = ['gen', 'proto', 'assembly', 'migrations']

/** Folders of those whose files may be imported all the same: a tool's, and what is AssemblyScript and TypeScript alike. */
const NOT_READ = ['gen', 'assembly']

export interface HouseOptions {
  /** The checkout. */
  root: string
  /** Folders of it that are read, with all below them. */
  tops: readonly string[]
  rooms: readonly Room[]
  /** Folders whose READMEs lead through the code. */
  walks: readonly string[]
}

/**
 * Everything that is wrong with the house, one sentence each; empty where nothing is. Throws where a module cannot be parsed.
 */
export function inspectHouse(options: HouseOptions): string[] {
  const { root, tops, rooms, walks } = options
  const files = tops.flatMap((top) => modulesBelow(root, top))
  const graph = new Map(files.map((file) => [file, importsOf(root, file)]))
  return [
    ...rooms
      .filter(({ path }) => !files.some((file) => isWithin(file, path)))
      .map(({ path }) => `${path} holds no module: take its row out of ${TABLE}`),
    ...[...graph].flatMap(([file, imports]) => forbidden(file, imports, rooms)),
    ...[...graph].flatMap(([file, imports]) => unread(file, imports, graph, tops)),
    ...[...graph].flatMap(([file, { isTold }]) => (isTold ? [] : [`${file} does not say first what it is for`])),
    ...circles(graph),
    ...doubled(graph),
    ...files
      .map(dirname)
      .filter(isFirst)
      .flatMap((folder) => unexplained(root, folder)),
    ...falseCitations(root, tops),
    ...walks.flatMap((folder) => falseWalks(root, folder, graph)),
  ]
}

function isFirst<T>(value: T, index: number, all: readonly T[]): boolean {
  return all.indexOf(value) === index
}

function modulesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) return NOT_ROOMS.includes(entry.name) ? [] : modulesBelow(root, path)
      return entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts') ? [path] : []
    })
}

/** What a module imports, values and types alike, and what it exports: files of the tree by their path, packages and host APIs by their names. */
interface ModuleNames {
  files: string[]
  packages: string[]
  /** The names that the module itself declares and exports. */
  exported: string[]
  /** Whether it says first what it is for: before its imports, which tools sort and would tear from a comment among them. */
  isTold: boolean
}

function importsOf(root: string, file: string): ModuleNames {
  const text = readFileSync(join(root, file), 'utf8')
  const { module, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]?.message}`)
  const specifiers = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.map(({ moduleRequest }) => literalIn(text.slice(moduleRequest.start, moduleRequest.end))),
  ].filter(isFirst)
  const near = specifiers.filter((specifier) => specifier.startsWith('.'))
  return {
    files: near.map((specifier) =>
      normalize(join(dirname(file), specifier))
        .split(sep)
        .join('/'),
    ),
    packages: specifiers.filter((specifier) => !specifier.startsWith('.')),
    exported: module.staticExports
      .flatMap(({ entries }) => entries)
      .filter(({ moduleRequest, exportName }) => moduleRequest === null && exportName.kind === 'Name')
      .flatMap(({ exportName }) => exportName.name ?? []),
    isTold: text.startsWith('/**') || text.startsWith('//'),
  }
}

/** The text of a string literal. What is computed stays as it stands, in parentheses: no room may import that. */
function literalIn(source: string): string {
  return /^'(?<text>[^'\\]*)'$/.exec(source)?.groups?.['text'] ?? `(${source})`
}

/** Imports of files of the tree that are not read here (JavaScript, .mts, declarations), so that they could import anything. */
function unread(
  file: string,
  { files }: ModuleNames,
  graph: ReadonlyMap<string, ModuleNames>,
  tops: readonly string[],
): string[] {
  return files
    .filter(
      (target) =>
        tops.some((top) => isWithin(target, top)) &&
        !graph.has(target) &&
        !NOT_READ.some((name) => target.includes(`/${name}/`)),
    )
    .map((target) => `${file} imports ${target}, which is no module that is read here: make it a .ts file`)
}

function roomOf(file: string, rooms: readonly Room[]): Room | undefined {
  return rooms
    .filter(({ path }) => isWithin(file, path))
    .toSorted((a, b) => b.path.length - a.path.length)
    .at(0)
}

function isWithin(file: string, path: string): boolean {
  return file === path || file.startsWith(`${path}/`)
}

function forbidden(file: string, { files, packages }: ModuleNames, rooms: readonly Room[]): string[] {
  const room = roomOf(file, rooms)
  if (room === undefined) return [`${file} is in no room: add its folder to ${TABLE}`]
  const { path, imports, host, packages: known = [] } = room
  const allowed = [path, ...imports]
  return [
    ...files
      .filter((target) => !allowed.some((place) => isWithin(target, place)))
      .map((target) => `${file} imports ${target}, which ${path} may not: see ${TABLE}`),
    ...packages
      .filter((name) => !isHost(name, host) && !known.some((its) => isWithin(name, its)))
      .map((name) => `${file} imports ${name}, which ${path} may not: see ${TABLE}`),
  ]
}

function isHost(name: string, host: Room['host']): boolean {
  if (name.startsWith('node:') || builtinModules.includes(name)) return host === 'node'
  return host === 'workers' && (name.startsWith('cloudflare:') || name === '@cloudflare/workers-types')
}

/** A module for one host, beside one for another with the same exports. */
const HOST_SUFFIX = /\.(?:node|workerd)\.ts$/u

/** Names that two modules export: a reader who knows the one is misled by the other. */
function doubled(graph: ReadonlyMap<string, ModuleNames>): string[] {
  const owners = new Map<string, string>()
  return [...graph].flatMap(([file, { exported }]) =>
    exported.filter(isFirst).flatMap((name) => {
      const owner = insert(owners, name, file)
      return owner.replace(HOST_SUFFIX, '') === file.replace(HOST_SUFFIX, '')
        ? []
        : [`${owner} and ${file} both export ${name}: give one of them another name`]
    }),
  )
}

/**
 * Circles, folder by folder: the files and folders in each are compared as wholes, so that a folder may use what lies beside
 * it, and be used by it, but not both.
 */
function circles(graph: ReadonlyMap<string, ModuleNames>): string[] {
  const levels = new Map<string, Map<string, Map<string, string>>>()
  for (const [file, { files }] of graph) {
    for (const target of files) {
      if (!graph.has(target) || target === file) continue
      const [from, to] = [file.split('/'), target.split('/')]
      let depth = 0
      while (from[depth] === to[depth]) depth++
      const level = from.slice(0, depth).join('/')
      const [a, b] = [from.slice(0, depth + 1).join('/'), to.slice(0, depth + 1).join('/')]
      const nodes = insert(levels, level, new Map<string, Map<string, string>>())
      insert(nodes, a, new Map<string, string>()).set(b, `${file} imports ${target}`)
    }
  }
  return [...levels.values()].flatMap((nodes) => {
    const circle = findCircle(nodes)
    if (circle === undefined) return []
    const why = circle.map((a, index) => nodes.get(a)?.get(circle[(index + 1) % circle.length] ?? '') ?? '')
    return [`a circle: ${[...circle, circle[0]].join(' -> ')} (${why.join('; ')})`]
  })
}

function insert<K, V>(map: Map<K, V>, key: K, value: V): V {
  const there = map.get(key)
  if (there !== undefined) return there
  map.set(key, value)
  return value
}

function findCircle(nodes: ReadonlyMap<string, ReadonlyMap<string, string>>): string[] | undefined {
  const done = new Set<string>()
  const path: string[] = []
  const visit = (name: string): string[] | undefined => {
    const at = path.indexOf(name)
    if (at !== -1) return path.slice(at)
    if (done.has(name)) return undefined
    path.push(name)
    for (const next of nodes.get(name)?.keys() ?? []) {
      const found = visit(next)
      if (found !== undefined) return found
    }
    path.pop()
    done.add(name)
    return undefined
  }
  for (const name of nodes.keys()) {
    const found = visit(name)
    if (found !== undefined) return found
  }
  return undefined
}

function unexplained(root: string, folder: string): string[] {
  const readme = join(root, folder, 'README.md')
  if (!existsSync(readme)) return [`${folder} has no README.md`]
  const lines = readFileSync(readme, 'utf8').trimEnd().split('\n').length
  return lines > SCREEN_LINES ? [`${folder}/README.md has ${lines} lines; a screen has ${SCREEN_LINES}`] : []
}
