import type { Context } from './context.ts'

/** How the help groups the verbs, in this order. */
export const VERB_GROUPS = ['Make images ready', 'Look at a node', 'Run a fleet'] as const

export type VerbGroup = (typeof VERB_GROUPS)[number]

/** An option of a verb. Without `value` it is a switch. */
export interface OptionSpec {
  /** One letter, without the dash. */
  short?: string
  /** What stands for the value in the help, such as `NAME`. */
  value?: string
  summary: string
  /** Whether it may be given more than once. */
  many?: true
  required?: true
  choices?: readonly string[]
  /** The environment variable that is taken where the option is not given. */
  env?: string
}

/** An argument of a verb. */
export interface ArgumentSpec {
  name: string
  summary: string
  optional?: true
  /** Whether it takes all that follows; the last argument only. */
  many?: true
}

type OptionValue<S extends OptionSpec> = S extends { value: string }
  ? S extends { many: true }
    ? string[]
    : S extends { required: true }
      ? string
      : string | undefined
  : boolean

/** What a verb's options come to, under the names that they have on the command line. */
export type OptionValues<O extends Record<string, OptionSpec>> = { [K in keyof O]: OptionValue<O[K]> }

type ArgumentValue<S extends ArgumentSpec> = S extends { many: true }
  ? string[]
  : S extends { optional: true }
    ? string | undefined
    : string

/** What a verb's arguments come to, under their names. */
export type ArgumentValues<A extends readonly ArgumentSpec[]> = {
  [S in A[number] as S['name']]: ArgumentValue<S>
}

export interface Example {
  /** What follows `layercast `. */
  command: string
  summary: string
}

/** A verb of the program as data: its help, its parsing and its completion come from here and from nowhere else. */
export interface Verb {
  /** The words that name it, such as `['image', 'ls']`. */
  path: readonly string[]
  group: VerbGroup
  summary: string
  /** What the summary has no room for. */
  description?: string
  arguments: readonly ArgumentSpec[]
  options: Readonly<Record<string, OptionSpec>>
  examples: readonly Example[]
  /** It makes the root or the namespace that it is given: that neither is there yet is no news then. */
  makesPlace?: true
  run(context: Context, input: { args: Record<string, unknown>; options: Record<string, unknown> }): Promise<void>
}

/** Declares a verb; `run` gets its arguments and options with the types that the data gives them. */
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
  // The parser makes exactly what the data says, which is what the types say.
  return declared as unknown as Verb
}
