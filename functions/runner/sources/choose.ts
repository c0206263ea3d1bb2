import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'
import type { Choice } from './spec.ts'

const SHOWN = 10

/** One image that a source holds, and the names that it has there. */
export interface Candidate<T> {
  image: T
  names: readonly string[]
}

/** The candidate that a spec means, and the name by which it was asked for, if by one. */
export interface Chosen<T> extends Candidate<T> {
  /** As the source spells it. */
  asked: string | undefined
}

/**
 * The image that a spec means: the one of that name or number, or the only one. IMAGE_NOT_FOUND when there is none such,
 * SOURCE_INVALID when several could be meant; both say what there is.
 */
export function choose<T>(
  what: string,
  candidates: readonly Candidate<T>[],
  choice: Choice,
  same: (candidate: string, wanted: string) => boolean = (candidate, wanted) => candidate === wanted,
): Chosen<T> {
  const matching = candidates.filter(({ names }, n) => {
    if (choice === undefined) return true
    return 'index' in choice ? n === choice.index : names.some((name) => same(name, choice.name))
  })
  const [found, second] = matching
  if (found === undefined) {
    const wanted =
      choice === undefined ? 'no image' : `no image ${'index' in choice ? `@${choice.index}` : quote(choice.name)}`
    throw new LayercastError('IMAGE_NOT_FOUND', `${what} holds ${wanted}; ${inventory(candidates)}`, {
      fix: 'Give one that is there after the path and a colon, or @N for the Nth.',
      detail: { source: what },
    })
  }
  if (second !== undefined) {
    const how = choice === undefined ? 'several images' : 'this name more than once'
    throw new LayercastError('SOURCE_INVALID', `${what} holds ${how}; ${inventory(candidates)}`, {
      fix: 'Say which after the path and a colon: a name, or @N for the Nth.',
      detail: { source: what },
    })
  }
  const wanted = choice !== undefined && 'name' in choice ? choice.name : undefined
  const asked =
    found.names.find((name) => wanted === name) ??
    found.names.find((name) => wanted !== undefined && same(name, wanted))
  return { ...found, asked }
}

function inventory(candidates: readonly Candidate<unknown>[]): string {
  if (candidates.length === 0) return 'there are none'
  const shown = candidates
    .slice(0, SHOWN)
    .map(({ names }, n) => (names.length > 0 ? names.map(quote).join(' or ') : `@${n}`))
  const rest = candidates.length - shown.length
  return `there is ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}
