/** From a command line to a verb with its arguments and options. The only module, with help.ts, that knows commander. */

import { Argument, Command, CommanderError, Option } from 'commander'
import { LayercastError } from '../../errors.ts'
import { GLOBALS, type GlobalValues } from './globals.ts'
import { examplesOf, leaves, ProgramHelp, wordsOf } from './help.ts'
import type { OptionSpec } from './spec.ts'
import type { Verb } from './verb.ts'

/** A verb to run, or text to print instead: help, the version. */
export type Parsed =
  | {
      verb: Verb
      args: Record<string, unknown>
      options: Record<string, unknown>
      globals: GlobalValues
    }
  | { print: string }

export interface ParseOptions {
  verbs: readonly Verb[]
  version: string
  env: Readonly<Record<string, string | undefined>>
  /** The width of help, in characters. */
  columns: number
}

/**
 * Reads a command line.
 *
 * @param argv what follows the program's name
 * @throws LayercastError USAGE, with a suggestion where a word is nearly right
 */
export function parse(argv: readonly string[], options: ParseOptions): Parsed {
  let printed = ''
  let found: Parsed | undefined
  const program = buildProgram(options, (verb, command) => {
    const args = Object.fromEntries(
      verb.arguments.map((spec, index): [string, unknown] => [spec.name, command.processedArgs[index]]),
    )
    const globals = optionValues(GLOBALS, { ...command.parent?.opts(), ...program.opts(), ...command.opts() }, options)
    found = {
      verb,
      args,
      options: optionValues(verb.options, command.opts(), options),
      globals: globals as GlobalValues,
    }
  })
  for (const command of [program, ...program.commands, ...program.commands.flatMap((group) => group.commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => (printed += text),
      writeErr: () => undefined,
      getOutHelpWidth: () => options.columns,
    })
  }
  try {
    // `layercast help image ls` stands for `layercast image ls --help`.
    program.parse(argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { print: printed }
    throw usageError(error, program, argv)
  }
  if (found === undefined) throw new LayercastError('INTERNAL', 'no verb was found, and no error either')
  return found
}

class HelpfulCommand extends Command {
  override createCommand(name?: string): Command {
    return new HelpfulCommand(name)
  }

  override createHelp(): ProgramHelp {
    return new ProgramHelp()
  }
}

function buildProgram(options: ParseOptions, onVerb: (verb: Verb, command: Command) => void): Command {
  const program = new HelpfulCommand('layercast')
    .description(
      'Makes an image that a node already holds ready under any containerd snapshotter, with the labels it needs.',
    )
    .version(options.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; after a verb, its own with examples')
    .helpCommand(false)
  for (const option of globalOptions()) program.addOption(option)
  const groups = new Map<string, Command>()
  for (const verb of options.verbs) {
    const [first = '', second] = verb.path
    let parent = program
    if (second !== undefined) {
      parent = groups.get(first) ?? program.command(first).helpCommand(false)
      groups.set(first, parent)
    }
    const command = parent
      .command(second ?? first)
      .summary(verb.summary)
      .helpGroup(`${verb.group}:`)
    command.description(
      verb.description === undefined ? `${sentence(verb.summary)}` : `${sentence(verb.summary)}\n\n${verb.description}`,
    )
    for (const spec of verb.arguments) {
      const name = spec.many ? `${spec.name}...` : spec.name
      command.addArgument(new Argument(spec.optional ? `[${name}]` : `<${name}>`, spec.summary))
    }
    for (const [name, spec] of Object.entries(verb.options)) command.addOption(asOption(name, spec))
    for (const option of globalOptions()) command.addOption(option)
    command.addHelpText('after', examplesOf(verb))
    command.action(() => {
      onVerb(verb, command)
    })
  }
  return program
}

function globalOptions(): Option[] {
  return Object.entries(GLOBALS).map(([name, spec]) => asOption(name, spec).helpGroup('Options of every verb:'))
}

function asOption(name: string, spec: OptionSpec): Option {
  const flags = `${spec.short === undefined ? '' : `-${spec.short}, `}--${kebab(name)}${spec.value === undefined ? '' : ` <${spec.value}>`}`
  const notes = [
    spec.choices === undefined ? '' : spec.choices.join(' | '),
    spec.required && 'required',
    spec.many && 'may be repeated',
    spec.env === undefined ? '' : `env: ${spec.env}`,
  ].filter(Boolean)
  const option = new Option(flags, notes.length === 0 ? spec.summary : `${spec.summary} (${notes.join('; ')})`)
  if (spec.many) option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value])
  return option
}

/** The values of options: as given, else from the environment, else what `OptionValues` says of an option not given. Checks choices. */
function optionValues(
  specs: Readonly<Record<string, OptionSpec>>,
  given: Readonly<Record<string, unknown>>,
  { env }: ParseOptions,
): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries(specs)) {
    const fromEnv = spec.env === undefined || env[spec.env] === '' ? undefined : env[spec.env]
    const value = given[name] ?? (spec.many && fromEnv !== undefined ? [fromEnv] : fromEnv)
    const flag = `--${kebab(name)}`
    if (value === undefined && spec.required) {
      throw new LayercastError('USAGE', `${flag} is not given`, {
        fix: `Give ${flag} ${spec.value}${spec.env === undefined ? '' : `, or set ${spec.env}`}.`,
      })
    }
    if (spec.choices !== undefined && typeof value === 'string' && !spec.choices.includes(value)) {
      throw new LayercastError('USAGE', `${flag} cannot be '${value}'`, {
        fix: `Use one of: ${spec.choices.join(', ')}.`,
      })
    }
    values[name] = value ?? (spec.value === undefined ? false : spec.many ? [] : undefined)
  }
  return values
}

function usageError(error: CommanderError, program: Command, argv: readonly string[]): LayercastError {
  const command = commandOf(program, argv)
  const called = [program.name(), ...wordsOf(command)].join(' ')
  if (error.code === 'commander.help') {
    const verbs = leaves(command).map((leaf) => wordsOf(leaf).join(' '))
    return new LayercastError('USAGE', `'${called}' needs a verb: ${verbs.join(', ')}`, {
      fix: `Run '${called} --help'.`,
      cause: error,
    })
  }
  const message = error.message.replace(/^error: /u, '').replaceAll(/\s*\n\s*/gu, ' ')
  return new LayercastError('USAGE', message, { fix: `Run '${called} --help'.`, cause: error })
}

function commandOf(program: Command, argv: readonly string[]): Command {
  let command = program
  for (const word of argv) {
    command = command.commands.find((candidate) => candidate.name() === word) ?? command
  }
  return command
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)
}
