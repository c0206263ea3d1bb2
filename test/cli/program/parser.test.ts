/** From command lines to verbs and their values. */

import { describe, expect, test } from 'vitest'
import { parse } from '../../../functions/cli/program/parser.ts'
import { verb } from '../../../functions/cli/program/verb.ts'
import { LayercastError } from '../../../functions/errors.ts'

const thing = verb({
  path: ['thing', 'do'],
  group: 'Look at a node',
  summary: 'do a thing',
  arguments: [
    { name: 'FIRST', summary: 'the first' },
    { name: 'REST', summary: 'the others', optional: true, many: true },
  ],
  options: {
    snapshotter: { short: 's', value: 'NAME', required: true, env: 'THING_SNAPSHOTTER', summary: 'which' },
    maxUses: { value: 'N', summary: 'how many' },
    label: { value: 'KEY=VALUE', many: true, summary: 'labels' },
    kind: { value: 'KIND', choices: ['a', 'b'], env: 'THING_KIND', summary: 'the kind' },
    dryRun: { summary: 'only look' },
  },
  examples: [{ command: 'thing do x', summary: 'one' }],
  run: async () => undefined,
})

const other = verb({
  path: ['other'],
  group: 'Look at a node',
  summary: 'do another thing',
  arguments: [],
  options: {},
  examples: [{ command: 'other', summary: 'one' }],
  run: async () => undefined,
})

function read(argv: string[], env: Record<string, string> = {}) {
  const parsed = parse(argv, { verbs: [thing, other], version: '1.2.3', env, columns: 100 })
  if ('print' in parsed) throw new Error(`printed: ${parsed.print}`)
  return parsed
}

function refused(argv: string[], env: Record<string, string> = {}): LayercastError {
  try {
    parse(argv, { verbs: [thing, other], version: '1.2.3', env, columns: 100 })
  } catch (error) {
    if (error instanceof LayercastError) return error
    throw error
  }
  throw new Error('it was taken')
}

describe('a command line', () => {
  test('gives arguments and options under the names of the data, with the defaults that their types promise', () => {
    const { args, options } = read(['thing', 'do', 'x', '-s', 'native'])
    expect(args).toEqual({ FIRST: 'x', REST: [] })
    expect(options).toEqual({ snapshotter: 'native', maxUses: undefined, label: [], kind: undefined, dryRun: false })
  })

  test('takes kebab case, repeated options, = and arguments that follow options', () => {
    const { args, options } = read([
      'thing',
      'do',
      '--max-uses=3',
      '--label',
      'a=1',
      '--label',
      'b=2',
      '--dry-run',
      '-snative',
      'x',
      'y',
      'z',
    ])
    expect(args).toEqual({ FIRST: 'x', REST: ['y', 'z'] })
    expect(options).toMatchObject({ snapshotter: 'native', maxUses: '3', label: ['a=1', 'b=2'], dryRun: true })
  })

  test('takes -- to end the options', () => {
    expect(read(['thing', 'do', '-s', 'n', '--', '--dry-run']).args['FIRST']).toBe('--dry-run')
  })

  test.each([
    ['before the verb', ['-o', 'json', '--root', '/r', 'thing', 'do', 'x', '-s', 'n']],
    ['after it', ['thing', 'do', 'x', '-s', 'n', '-o', 'json', '--root', '/r']],
    ['between its words', ['thing', '-o', 'json', 'do', 'x', '-s', 'n', '--root', '/r']],
  ])('takes the options of every verb %s', (_, argv) => {
    expect(read(argv).globals).toMatchObject({ output: 'json', root: '/r', verbose: false })
  })

  test('lets an option after the verb win over the same one before it', () => {
    expect(read(['-o', 'json', 'thing', 'do', 'x', '-s', 'n', '-o', 'table']).globals.output).toBe('table')
  })

  test('takes an option from the environment, the option itself first, and an empty variable as none', () => {
    expect(read(['thing', 'do', 'x'], { THING_SNAPSHOTTER: 'env' }).options['snapshotter']).toBe('env')
    expect(read(['thing', 'do', 'x', '-s', 'flag'], { THING_SNAPSHOTTER: 'env' }).options['snapshotter']).toBe('flag')
    expect(refused(['thing', 'do', 'x'], { THING_SNAPSHOTTER: '' }).message).toBe('--snapshotter is not given')
  })
})

describe('a command line that is not right is USAGE, and says', () => {
  test.each([
    ['a verb that is nearly one', ['thign'], "unknown command 'thign' (Did you mean thing?)"],
    ['a verb below another', ['thing', 'doo'], "unknown command 'doo' (Did you mean do?)"],
    ['an option that is nearly one', ['thing', 'do', 'x', '-s', 'n', '--dry'], "unknown option '--dry'"],
    ['that an argument is missing', ['thing', 'do', '-s', 'n'], "missing required argument 'FIRST'"],
    ['that a value is missing', ['thing', 'do', 'x', '-s'], "option '-s, --snapshotter <NAME>' argument missing"],
    ['that a required option is missing', ['thing', 'do', 'x'], '--snapshotter is not given'],
    ['that a value is none of the choices', ['thing', 'do', 'x', '-s', 'n', '--kind', 'c'], "--kind cannot be 'c'"],
    ['that a verb is missing', [], "'layercast' needs a verb: thing do, other"],
    ['that the second word of a verb is missing', ['thing'], "'layercast thing' needs a verb: thing do"],
  ])('%s', (_, argv, message) => {
    const error = refused(argv)
    expect(error.code).toBe('USAGE')
    expect(error.exit).toBe(2)
    expect(error.message).toContain(message)
    expect(error.fix).toMatch(/\.$/u)
  })

  test('that a value from the environment is none of the choices', () => {
    expect(refused(['thing', 'do', 'x', '-s', 'n'], { THING_KIND: 'c' }).message).toBe("--kind cannot be 'c'")
  })

  test('that there are more arguments than the verb takes', () => {
    expect(refused(['other', 'x']).message).toContain('too many arguments')
  })
})

test('the version is printed alone', () => {
  expect(parse(['--version'], { verbs: [thing, other], version: '1.2.3', env: {}, columns: 100 })).toEqual({
    print: '1.2.3\n',
  })
})
