import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { inspectHouse } from '../../functions/build/house.ts'
import type { Room } from '../../functions/build/rooms.ts'

const ROOMS: readonly Room[] = [
  { path: 'src/base', imports: [] },
  { path: 'src/disk', imports: ['src/base'], host: 'node', packages: ['koffi', '@noble/hashes'] },
  { path: 'src/edge', imports: ['src/base'], host: 'workers' },
  { path: 'src/top', imports: ['src/base', 'src/disk', 'src/edge'], host: 'node' },
  { path: 'src/top/low', imports: ['src/disk/file.ts'], host: 'node' },
]

/** A tree with nothing wrong: each room uses all that it may. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/base/name.ts': 'export interface Name { first: string }\nexport const name = (): Name => ({ first: "a" })',
  'src/base/README.md': '# Base',
  'src/disk/file.ts': `
    import { readFile } from 'node:fs/promises'
    import { sep } from 'path'
    import koffi from 'koffi'
    import { sha256 } from '@noble/hashes/sha2.js'
    import type { Name } from '../base/name.ts'
    export const use = (name: Name) => [name, readFile, sep, koffi, sha256]`,
  'src/disk/README.md': '# Disk',
  'src/edge/worker.ts': `import { env } from 'cloudflare:workers'\nexport { name } from '../base/name.ts'\nexport default env`,
  'src/edge/README.md': '# Edge',
  'src/top/main.ts': `
    import { name } from '../base/name.ts'
    import { low } from './low/low.ts'
    export const main = async () => [name, low, await import('../edge/worker.ts')]`,
  'src/top/README.md': '# Top',
  'src/top/low/low.ts': `export { use as low } from '../../disk/file.ts'`,
  'src/top/low/README.md': '# Low',
  // Not modules of the project's.
  'src/disk/gen/made.ts': `import 'anything'`,
  'src/disk/types.d.ts': `import 'anything'`,
}

/** A module that does not say what it is for before its imports. */
const UNTOLD = `import '../disk/file.ts'\n/** Too late. */\nexport const late = 1`

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'layercast-house-'))
})
afterEach(() => rm(root, { recursive: true }))

/** What is wrong with the clean tree once these files are added or changed; a file that is undefined is left out. */
async function inspect(change: Record<string, string | undefined>): Promise<string[]> {
  for (const [path, text] of Object.entries({ ...CLEAN, ...change })) {
    if (text === undefined) continue
    await mkdir(dirname(join(root, path)), { recursive: true })
    const isModule = path.endsWith('.ts') && text !== UNTOLD
    await writeFile(join(root, path), isModule ? `/** What it is for. */\n${text}` : text)
  }
  return inspectHouse({ root, tops: ['src'], rooms: ROOMS, walks: ['src/top'] })
}

const may = (file: string, what: string, room: string): string =>
  `${file} imports ${what}, which ${room} may not: see functions/build/rooms.ts`

test('finds nothing in a clean house', async () => {
  expect(await inspect({})).toEqual([])
})

test.each([
  ['a value', `import { name } from '../base/name.ts'\nexport const x = name`],
  ['a type', `import type { Name } from '../base/name.ts'\nexport type X = Name`],
  ['a type beside values', `import { type Name } from '../base/name.ts'\nexport type X = Name`],
  ['a module for its effect', `import '../base/name.ts'`],
  ['a value as it runs', `export const x = async () => await import('../base/name.ts')`],
  ['a value to pass on', `export { name } from '../base/name.ts'`],
  ['a type to pass on', `export type { Name } from '../base/name.ts'`],
  ['all to pass on', `export * from '../base/name.ts'`],
  ['all types to pass on', `export type * from '../base/name.ts'`],
  ['all under a name', `export * as base from '../base/name.ts'`],
])('names a room that imports %s of one above it', async (_, text) => {
  const moved = text.replaceAll('../base/name.ts', '../top/main.ts')
  expect(await inspect({ 'src/base/other.ts': moved })).toContain(
    may('src/base/other.ts', 'src/top/main.ts', 'src/base'),
  )
})

test('names a room inside a room by its own row', async () => {
  expect(await inspect({ 'src/top/low/up.ts': `import '../../base/name.ts'` })).toEqual([
    may('src/top/low/up.ts', 'src/base/name.ts', 'src/top/low'),
  ])
})

test('allows one file of a room without its neighbours', async () => {
  expect(
    await inspect({
      'src/disk/file.ts.ts': 'export {}',
      'src/disk/other.ts': 'export {}',
      'src/top/low/next.ts': `import '../../disk/other.ts'\nimport '../../disk/file.ts.ts'`,
    }),
  ).toEqual([
    may('src/top/low/next.ts', 'src/disk/other.ts', 'src/top/low'),
    may('src/top/low/next.ts', 'src/disk/file.ts.ts', 'src/top/low'),
  ])
})

test.each([
  ['a package', 'src/top/x.ts', 'koffi'],
  ['a package whose name begins like one that it may', 'src/disk/x.ts', 'koffi-more'],
  ["a name of package.json's", 'src/disk/x.ts', '#core'],
  ["Node's API", 'src/base/x.ts', 'node:fs'],
  ["Node's API by its old name", 'src/base/x.ts', 'fs/promises'],
  ["Node's API where it may use the Workers'", 'src/edge/x.ts', 'node:fs'],
  ["the Workers' API", 'src/base/x.ts', 'cloudflare:workers'],
  ["the Workers' API where it may use Node's", 'src/disk/x.ts', 'cloudflare:workers'],
])('names a room that imports %s', async (_, file, name) => {
  const expected = [may(file, name, dirname(file))]
  expect(await inspect({ [file]: `import '${name}'` })).toEqual(expected)
  expect(await inspect({ [file]: `import type { X } from '${name}'\nexport type Y = X` })).toEqual(expected)
})

test('names a circle of two files, though only their types make it', async () => {
  expect(
    await inspect({
      'src/base/a.ts': `import type { B } from './b.ts'\nexport interface A { b: B }`,
      'src/base/b.ts': `import type { A } from './a.ts'\nexport interface B { a: A }`,
    }),
  ).toEqual([
    'a circle: src/base/a.ts -> src/base/b.ts -> src/base/a.ts ' +
      '(src/base/a.ts imports src/base/b.ts; src/base/b.ts imports src/base/a.ts)',
  ])
})

test('names a circle of two folders, though no files make one', async () => {
  expect(
    await inspect({
      'src/base/in/a.ts': `import '../out/b.ts'`,
      'src/base/in/c.ts': 'export {}',
      'src/base/in/README.md': '# In',
      'src/base/out/b.ts': 'export {}',
      'src/base/out/d.ts': `import '../in/c.ts'`,
      'src/base/out/README.md': '# Out',
    }),
  ).toEqual([
    'a circle: src/base/in -> src/base/out -> src/base/in ' +
      '(src/base/in/a.ts imports src/base/out/b.ts; src/base/out/d.ts imports src/base/in/c.ts)',
  ])
})

test('names a circle of a folder and a file beside it', async () => {
  expect(
    await inspect({
      'src/base/name.ts': `import './in/a.ts'`,
      'src/base/in/a.ts': 'export {}',
      'src/base/in/b.ts': `import '../name.ts'`,
      'src/base/in/README.md': '# In',
    }),
  ).toContain(
    'a circle: src/base/in -> src/base/name.ts -> src/base/in ' +
      '(src/base/in/b.ts imports src/base/name.ts; src/base/name.ts imports src/base/in/a.ts)',
  )
})

test.each([
  ['a function', 'export function name() {}'],
  ['a type', 'export interface Name { last: string }'],
  ['a name given at the export', 'const it = 1\nexport { it as name }'],
])('names two modules that export %s of one name', async (_, text) => {
  const [name = ''] = /name/iu.exec(text) ?? []
  expect(await inspect({ 'src/top/twice.ts': text })).toEqual([
    `src/base/name.ts and src/top/twice.ts both export ${name}: give one of them another name`,
  ])
})

test('lets two modules export one name where one passes on the other’s, or each is for a host of its own', async () => {
  expect(
    await inspect({
      'src/top/pass.ts': `export { name } from '../base/name.ts'\nexport default 1`,
      'src/base/host.node.ts': 'export const host = 1\nexport default 1',
      'src/base/host.workerd.ts': 'export const host = 2',
    }),
  ).toEqual([])
})

test('names a folder of modules with no README, and a README longer than a screen', async () => {
  expect(
    await inspect({ 'src/top/low/README.md': undefined, 'src/top/README.md': `# Top\n${'more\n'.repeat(49)}` }),
  ).toEqual(['src/top/low has no README.md'])
  expect(await inspect({ 'src/top/README.md': `# Top\n${'more\n'.repeat(50)}` })).toEqual([
    'src/top/README.md has 51 lines; a screen has 50',
  ])
})

test('names a file in no room, and a room with no file', async () => {
  expect(await inspect({ 'src/new/x.ts': 'export {}', 'src/new/README.md': '# New' })).toEqual([
    'src/new/x.ts is in no room: add its folder to functions/build/rooms.ts',
  ])
  expect(
    inspectHouse({ root, tops: ['src'], rooms: [...ROOMS, { path: 'src/gone', imports: [] }], walks: [] }),
  ).toContain('src/gone holds no module: take its row out of functions/build/rooms.ts')
})

test.each(['low.js', 'low.mts', 'low.d.ts', 'proto/low.ts'])(
  'names an import of %s, whose own imports nobody reads',
  async (low) => {
    const text = `import '../../../src/top/main.ts'`
    expect(await inspect({ [`src/base/${low}`]: text, 'src/base/high.ts': `import './${low}'` })).toContain(
      `src/base/high.ts imports src/base/${low}, which is no module that is read here: make it a .ts file`,
    )
    expect(await inspect({ 'src/base/high.ts': `import './gen/made_pb.js'` })).toEqual([])
  },
)

test.each(["'.' + './top/main.ts'", "['../top/main.ts'][0]", '`../top/main.ts`', 'name', "'.\\u002e/top/main.ts'"])(
  'names an import whose module is computed: %s',
  async (computed) => {
    expect(await inspect({ 'src/base/high.ts': `export const x = async () => await import(${computed})` })).toEqual([
      may('src/base/high.ts', `(${computed})`, 'src/base'),
    ])
  },
)

test('says which module cannot be parsed', async () => {
  await expect(inspect({ 'src/base/x.ts': 'import {' })).rejects.toThrow('src/base/x.ts cannot be parsed')
})

test.each([
  ['a file', 'other/FACTS.md section 1', 'other/FACTS.md'],
  ['a section', 'base/FACTS.md section 3', 'base/FACTS.md section 3'],
  ['a section, over the end of a line', 'base/FACTS.md\n * section 3', 'base/FACTS.md section 3'],
  ['a step', 'FACTS.md section 2, step 3', 'FACTS.md section 2, step 3'],
  ['one of two steps', 'FACTS.md section 2, steps 2 and 3', 'FACTS.md section 2, step 3'],
])('names a module that cites %s that is not there', async (_, citation, what) => {
  const facts = '# Facts\n\n## 1. One\n3. not of the next\n\n## 2. Two\n1. a\n2. b\n'
  const file = (text: string) => ({
    'src/base/FACTS.md': facts,
    'src/base/cites.ts': `/**\n * ${text}\n */\nexport {}`,
  })
  expect(await inspect(file('base/FACTS.md section 1, and FACTS.md section 2, steps 1 and 2.'))).toEqual([])
  expect(await inspect(file(citation))).toEqual([`src/base/cites.ts cites ${what}, which is not there`])
})

test('names a walk with a file that is not there, one that stands twice, and one that climbs back up', async () => {
  const readme = (walk: string) => ({
    'src/top/README.md': `# Top\n\n**A walk.** It goes\nby ${walk}.\n\nNot of it: \`no.ts\`.`,
  })
  expect(await inspect(readme('`main.ts` and `low/low.ts`, not by `main`'))).toEqual([])
  expect(await inspect(readme('`low/low.ts` and `main.ts`'))).toEqual([
    'src/top/README.md, A walk: src/top/main.ts imports src/top/low/low.ts, which stands before it',
  ])
  expect(await inspect(readme('`main.ts`, `gone.ts` and `main.ts`'))).toEqual([
    'src/top/README.md, A walk: src/top/gone.ts is not there',
    'src/top/README.md, A walk: src/top/main.ts stands twice',
  ])
})

test('names a module that does not say first what it is for', async () => {
  expect(await inspect({ 'src/top/late.ts': UNTOLD })).toEqual(['src/top/late.ts does not say first what it is for'])
})
