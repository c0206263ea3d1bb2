import type { Verb } from './verb.ts'
import { versionVerb } from './verbs/version.ts'

/** Every verb there is, in the order in which the help lists them. */
export const VERBS: readonly Verb[] = [versionVerb]
