/** Every verb of the program: its file, its help, its examples. */

import { existsSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { parse } from '../../functions/cli/program/parser.ts'
import { VERB_GROUPS } from '../../functions/cli/program/verb.ts'
import { VERBS } from '../../functions/cli/verbs.ts'

function printed(argv: string[]): string {
  const parsed = parse(argv, { verbs: VERBS, version: '1.2.3', env: {}, columns: 100 })
  return 'print' in parsed ? parsed.print : ''
}

test.each(VERBS.map(({ path }) => path.join('-')))('the verb %s has a file of its own', (name) => {
  expect(existsSync(new URL(`../../functions/cli/verbs/${name}.ts`, import.meta.url))).toBe(true)
})

describe('help', () => {
  test('lists every verb under its group', () => {
    const text = printed(['--help'])
    for (const { path, summary } of VERBS)
      expect(text).toMatch(new RegExp(`^  ${path.join(' ')}\\b.* ${summary.slice(0, 40)}`, 'mu'))
    for (const group of VERB_GROUPS) expect(text).toContain(`${group}:`)
  })

  test('may be asked for with help too, of all, of a group and of a verb', () => {
    expect(printed(['help'])).toBe(printed(['--help']))
    expect(printed(['help', 'image'])).toContain('Usage: layercast image VERB')
    expect(printed(['help', 'image', 'ls'])).toBe(printed(['image', 'ls', '--help']))
  })

  test.each(VERBS.map((each) => [each.path.join(' '), each] as const))('of %s shows its examples', (_, each) => {
    const text = printed([...each.path, '--help'])
    expect(each.examples.length).toBeGreaterThan(0)
    for (const { command, summary } of each.examples) {
      expect(text).toContain(`  layercast ${command}`)
      expect(text).toContain(`# ${summary}`)
    }
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(130)
  })

  test.each(VERBS.flatMap((each) => each.examples.map(({ command }) => [command, each] as const)))(
    'has an example that parses: %s',
    (command, each) => {
      const words = [...command.split(/ [|<]/u)[0]!.matchAll(/'([^']*)'|(\S+)/gu)].map(
        ([, quoted, plain]) => quoted ?? plain ?? '',
      )
      const env = { CONTAINERD_SNAPSHOTTER: '', LAYERCAST_SERVER: 'http://127.0.0.1:1' }
      expect(parse(words, { verbs: VERBS, version: '1.2.3', env, columns: 100 })).toMatchObject({ verb: each })
    },
  )

  test('is not loaded with what the verbs need', async () => {
    // A verb loads gRPC, zod and the like only when it runs, so that the program starts fast.
    vi.resetModules()
    const loaded: string[] = []
    for (const name of ['zod', 'koffi', '@connectrpc/connect-node', 'workerd']) {
      vi.doMock(name, () => {
        loaded.push(name)
        return {}
      })
    }
    await import('../../functions/cli/verbs.ts')
    expect(loaded).toEqual([])
    vi.doUnmock('zod')
  })
})
