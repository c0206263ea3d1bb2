/** Options and arguments as data, and the types of the values that a command line gives them. */

/** An option. Without `value` it is a switch. */
export interface OptionSpec {
  /** One letter, without the dash. */
  short?: string
  /** What stands for the value in the help, such as `NAME`. */
  value?: string
  summary: string
  /** Whether it may be given more than once. */
  many?: true
  required?: true
  /** The values that are accepted; any where absent. */
  choices?: readonly string[]
  /** The environment variable that is read where the option is not given. */
  env?: string
}

/** An argument of a verb. */
export interface ArgumentSpec {
  name: string
  summary: string
  optional?: true
  /** Whether it takes all words that follow; the last argument only. */
  many?: true
}

type Text<S extends OptionSpec> = S extends { choices: readonly (infer Choice)[] } ? Choice : string

type OptionValue<S extends OptionSpec> = S extends { value: string }
  ? S extends { many: true }
    ? Text<S>[]
    : S extends { required: true }
      ? Text<S>
      : Text<S> | undefined
  : boolean

/** The values of options, under the names that the options have on the command line, in camel case. */
export type OptionValues<O extends Record<string, OptionSpec>> = { [K in keyof O]: OptionValue<O[K]> }

type ArgumentValue<S extends ArgumentSpec> = S extends { many: true }
  ? string[]
  : S extends { optional: true }
    ? string | undefined
    : string

/** The values of arguments, under their names. */
export type ArgumentValues<A extends readonly ArgumentSpec[]> = {
  [S in A[number] as S['name']]: ArgumentValue<S>
}
