/** Selectors: which nodes an assignment is for. `key=value[,key=value]`, all of which must hold; `*` is every node. */
import { LayercastError } from '../errors.ts'
import { labels } from './fields.ts'

/** The labels that a node must have; empty for every node. */
export type Selector = Readonly<Record<string, string>>

/**
 * Reads a selector. SELECTOR_INVALID: empty, no `=`, a key twice, or what cannot be a label. An empty text is refused
 * because it is what a forgotten shell variable looks like, and it would mean every node.
 */
export function parseSelector(text: string): Selector {
  if (text === '*') return {}
  const wanted = new Map<string, string>()
  for (const part of text.split(',')) {
    const at = part.indexOf('=')
    if (at < 1) throw invalid(text, `${JSON.stringify(part)} is not key=value`)
    const key = part.slice(0, at)
    if (wanted.has(key)) throw invalid(text, `${JSON.stringify(key)} is there twice`)
    wanted.set(key, part.slice(at + 1))
  }
  const read = labels.safeParse(Object.fromEntries(wanted))
  // A schema passes over the one key that it takes for the prototype, and a selector of nothing is every node.
  if (wanted.has('__proto__')) throw invalid(text, '"__proto__" is no label key')
  if (!read.success) throw invalid(text, read.error.issues[0]?.message ?? 'not labels')
  return read.data
}

/** The one text of a selector: keys in order, so that equal selectors are equal texts. */
export function formatSelector(selector: Selector): string {
  const parts = Object.entries(selector).map(([key, value]) => `${key}=${value}`)
  return parts.length === 0 ? '*' : parts.sort().join(',')
}

function invalid(text: string, why: string): LayercastError {
  return new LayercastError('SELECTOR_INVALID', `${JSON.stringify(text)} is not a selector: ${why}`, {
    fix: 'Write key=value, or several with commas, or * for every node.',
  })
}
