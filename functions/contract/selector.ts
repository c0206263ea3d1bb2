/** Selectors: which nodes an assignment is for. `key=value[,key=value]` are the nodes with all these labels, `*` is every node. */
import { LayercastError } from '../errors.ts'
import { labels } from './fields.ts'

/** The labels that a node must have; empty for every node. */
export type Selector = Readonly<Record<string, string>>

/**
 * Parses a selector. SELECTOR_INVALID: it is empty, a part has no `=`, a key stands twice, or a part cannot be a label. The
 * empty text is refused because an unset shell variable gives it, and it would select every node.
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
  // zod's record drops the key __proto__, and the empty selector that is left would match every node.
  if (wanted.has('__proto__')) throw invalid(text, '"__proto__" is no label key')
  if (!read.success) throw invalid(text, read.error.issues[0]?.message ?? 'not labels')
  return read.data
}

/** A selector as text, with its parts sorted, so that equal selectors give equal texts. */
export function formatSelector(selector: Selector): string {
  const parts = Object.entries(selector).map(([key, value]) => `${key}=${value}`)
  return parts.length === 0 ? '*' : parts.sort().join(',')
}

function invalid(text: string, why: string): LayercastError {
  return new LayercastError('SELECTOR_INVALID', `${JSON.stringify(text)} is not a selector: ${why}`, {
    fix: 'Write key=value, or several with commas, or * for every node.',
  })
}
