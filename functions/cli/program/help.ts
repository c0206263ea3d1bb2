/** The text of `--help`. */

import { Help, type Argument, type Command } from 'commander'
import { VERB_GROUPS, type Verb } from './verb.ts'

/** Lists every verb under its group in the help of the whole program, and writes usage as `layercast VERB ARGUMENT [options]`. */
export class ProgramHelp extends Help {
  override formatHelp(command: Command, helper: Help): string {
    if (command.parent) return super.formatHelp(command, helper)
    const verbs = leaves(command)
    const options = this.visibleOptions(command).map((option) => [this.optionTerm(option), option.description] as const)
    const terms = verbs.map((leaf) => [this.subcommandTerm(leaf), leaf.summary(), leaf.helpGroup()] as const)
    const widest = Math.max(...[...terms, ...options].map(([term]) => term.length))
    const item = ([term, text]: readonly [string, string, ...unknown[]]): string =>
      helper.formatItem(term, widest, text, helper)
    const sections = [
      ['Usage: layercast VERB [options]'],
      [helper.boxWrap(command.description(), helper.helpWidth ?? 80)],
      ...VERB_GROUPS.map((group) => [`${group}:`].concat(terms.filter((term) => term[2] === `${group}:`).map(item))),
      ['Options:', ...options.map(item)],
      ["Run 'layercast VERB --help' for what a verb takes, with examples."],
    ]
    return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
  }

  override subcommandTerm(command: Command): string {
    return [...wordsOf(command), ...command.registeredArguments.map(argumentTerm)].join(' ')
  }

  override commandUsage(command: Command): string {
    const words = ['layercast', ...wordsOf(command)]
    if (command.commands.length > 0) return [...words, 'VERB', '[options]'].join(' ')
    return [...words, ...command.registeredArguments.map(argumentTerm), '[options]'].join(' ')
  }
}

/** The examples, which a verb's help ends with. */
export function examplesOf(verb: Verb): string {
  const lines = verb.examples.flatMap(({ command, summary }) => [`  # ${summary}`, `  layercast ${command}`])
  return `\nExamples:\n${lines.join('\n')}`
}

/** The commands without subcommands at or below a command: the verbs. */
export function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap((below) => leaves(below))
}

/** The words that call a command, without the program's name. */
export function wordsOf(command: Command): string[] {
  return command.parent ? [...wordsOf(command.parent), command.name()] : []
}

function argumentTerm(argument: Argument): string {
  const name = argument.variadic ? `${argument.name()}...` : argument.name()
  return argument.required ? name : `[${name}]`
}
