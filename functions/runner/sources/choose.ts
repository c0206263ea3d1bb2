/** Which image of a source a spec means. */
import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'
import type { Choice } from './spec.ts'

const SHOWN = 10

/** One image of a source, and the names that it has there. */
export interface ListedImage<T> {
  image: T
  names: readonly string[]
}

/** The image that a spec means. */
export interface ChosenImage<T> extends ListedImage<T> {
  /** The name in the spec, as the source spells it; undefined where the spec has none. */
  asked: string | undefined
}

/**
 * The image that a spec means: the one of that name or number, or the only one. IMAGE_NOT_FOUND where there is none,
 * SOURCE_INVALID where several could be meant; both name the images that are there.
 * @param what the source, for messages
 * @param same whether two names are of the same image; equal texts by default
 */
export function choose<T>(
  what: string,
  images: readonly ListedImage<T>[],
  choice: Choice,
  same: (name: string, wanted: string) => boolean = (name, wanted) => name === wanted,
): ChosenImage<T> {
  const matching = images.filter(({ names }, n) => {
    if (choice === undefined) return true
    return 'index' in choice ? n === choice.index : names.some((name) => same(name, choice.name))
  })
  const [found, second] = matching
  if (found === undefined) {
    const wanted =
      choice === undefined ? 'no image' : `no image ${'index' in choice ? `@${choice.index}` : quote(choice.name)}`
    throw new LayercastError('IMAGE_NOT_FOUND', `${what} holds ${wanted}; ${inventory(images)}`, {
      fix: 'Give one that is there after the path and a colon, or @N for the Nth.',
      detail: { source: what },
    })
  }
  if (second !== undefined) {
    const how = choice === undefined ? 'several images' : 'this name more than once'
    throw new LayercastError('SOURCE_INVALID', `${what} holds ${how}; ${inventory(images)}`, {
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

function inventory(images: readonly ListedImage<unknown>[]): string {
  if (images.length === 0) return 'there are none'
  const shown = images
    .slice(0, SHOWN)
    .map(({ names }, n) => (names.length > 0 ? names.map(quote).join(' or ') : `@${n}`))
  const rest = images.length - shown.length
  return `there is ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}
