/** A verb as data, which the parser, the help and the run of the program read. */

import type { Context } from './context.ts'
import type { ArgumentSpec, ArgumentValues, OptionSpec, OptionValues } from './spec.ts'

/** The headings under which the help lists the verbs, in this order. */
export const VERB_GROUPS = ['Make images ready', 'Look at a node', 'Run a fleet'] as const

export type VerbGroup = (typeof VERB_GROUPS)[number]

export interface Example {
  /** What follows `layercast `. */
  command: string
  summary: string
}

/** A verb of the program: its parsing and its help come from here and from nowhere else. */
export interface Verb {
  /** The words that name it, such as `['image', 'ls']`: one or two. */
  path: readonly string[]
  group: VerbGroup
  summary: string
  /** What the summary has no room for. */
  description?: string
  arguments: readonly ArgumentSpec[]
  options: Readonly<Record<string, OptionSpec>>
  examples: readonly Example[]
  /** The verb creates the root or the namespace that it is given, so the user is not told that it does not exist yet. */
  makesPlace?: true
  run(context: Context, input: { args: Record<string, unknown>; options: Record<string, unknown> }): Promise<void>
}

/** Declares a verb. `run` gets its arguments and options with the types that follow from the data. */
export function verb<const A extends readonly ArgumentSpec[], const O extends Record<string, OptionSpec>>(declared: {
  path: readonly string[]
  group: VerbGroup
  summary: string
  description?: string
  arguments: A
  options: O
  examples: readonly Example[]
  makesPlace?: true
  run(context: Context, input: { args: ArgumentValues<A>; options: OptionValues<O> }): Promise<void>
}): Verb {
  // The parser gives `run` exactly the values that the data describes, which is what the types say.
  return declared as unknown as Verb
}
