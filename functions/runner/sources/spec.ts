/** A source as the user spells it: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`, `docker://NAME`. */
import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'

const FILE_KINDS = ['oci', 'oci-archive', 'docker-archive'] as const

/** Which image of a source is meant: by name, by its place in the source (from 0), or the only one. */
export type Choice = { name: string } | { index: number } | undefined

export type Spec =
  | { kind: (typeof FILE_KINDS)[number]; path: string; choice: Choice }
  | { kind: 'docker'; reference: string }

const PREFIXES = [...FILE_KINDS.map((kind) => `${kind}:`), 'docker://']

/** Whether the text names a source, and not an image of the node. */
export function isSpec(text: string): boolean {
  return PREFIXES.some((prefix) => text.startsWith(prefix))
}

/** Whether the source is a registry. */
export function isRegistrySpec(text: string): boolean {
  return text.startsWith('docker://')
}

/**
 * Parses a spec. As in skopeo, `@N` in the place of the tag is the Nth image, from 0. A path ends at its first colon, because a
 * tag may be a whole reference with colons in it. SOURCE_INVALID for anything else.
 */
export function parseSpec(text: string): Spec {
  const colon = text.indexOf(':')
  const scheme = text.slice(0, Math.max(colon, 0))
  const rest = text.slice(colon + 1)
  if (scheme === 'docker' && rest.startsWith('//') && rest.length > 2)
    return { kind: 'docker', reference: rest.slice(2) }
  const kind = FILE_KINDS.find((one) => one === scheme)
  if (kind === undefined) throw refuse(text, 'is none of the sources that layercast reads')
  const end = rest.indexOf(':')
  const path = end < 0 ? rest : rest.slice(0, end)
  if (path === '') throw refuse(text, 'names no path')
  return { kind, path, choice: end < 0 ? undefined : parseChoice(text, rest.slice(end + 1)) }
}

function parseChoice(text: string, choice: string): Choice {
  if (choice === '') throw refuse(text, 'ends with a colon and no tag')
  if (!choice.startsWith('@')) return { name: choice }
  if (!/^@\d{1,6}$/.test(choice)) throw refuse(text, `has ${quote(choice)} where a tag or @NUMBER is due`)
  return { index: Number(choice.slice(1)) }
}

function refuse(text: string, problem: string): LayercastError {
  return new LayercastError('SOURCE_INVALID', `the source ${quote(text)} ${problem}`, {
    fix: 'Write oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or docker://NAME.',
    detail: { spec: text },
  })
}
