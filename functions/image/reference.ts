/**
 * Image references in the grammar of the distribution project (distribution/reference), which docker, nerdctl and containerd's
 * CRI plugin share, and the normal form that CRI makes of them.
 */
import { hasCode, LayercastError } from '../errors.ts'
import { parseDigest } from './digest.ts'
import type { Digest } from './digest.ts'
import { byteLength } from './fields.ts'
import { LABEL, MAX_LABEL_BYTES } from './label-names.ts'
import { quote } from './quote.ts'

export interface Reference {
  /** The registry's host and port; empty where the grammar takes everything for a path. */
  domain: string
  /** The repository within the registry. */
  path: string
  tag?: string
  digest?: Digest
}

const MAX_PATH = 255
/** In bytes. A longer one does not fit into the label cri.image-ref: a label's key and value share the limit. */
const MAX_REFERENCE = MAX_LABEL_BYTES - LABEL.imageRef.length

const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const PATH = `${COMPONENT}(?:/${COMPONENT})*`
const DOMAIN_COMPONENT = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const HOST = `(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])`
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}'
const REFERENCE = new RegExp(`^(?:(${HOST}(?::[0-9]+)?)/)?(${PATH})(?::(\\w[\\w.-]{0,127}))?(?:@(${DIGEST}))?$`)

/**
 * Parses a reference, short ones as docker does: `nginx` is `docker.io/library/nginx`. No default tag is added.
 * REFERENCE_INVALID says what is wrong; DIGEST_INVALID when it is the digest after `@`.
 */
export function parseReference(text: string): Reference {
  if (text === '') refuse(text, 'is empty')
  if (text.length > MAX_REFERENCE) refuse(text, `has ${text.length} characters, more than ${MAX_REFERENCE}`)
  if (/^[a-f0-9]{64}$/.test(text)) refuse(text, 'is 64 hexadecimal digits, which name content and not an image')
  const [domain, remainder] = splitDomain(text)
  const remote = remainder.split(':', 1)[0] ?? ''
  if (remote !== remote.toLowerCase()) refuse(text, `has upper-case letters in the repository ${quote(remote)}`)
  const match = REFERENCE.exec(`${domain}/${remainder}`)
  if (match === null) refuse(text, 'does not follow the grammar [HOST[:PORT]/]PATH[:TAG][@DIGEST]')
  const [, host = '', path = '', tag, digest] = match
  if (path.length > MAX_PATH) refuse(text, `has a repository of ${path.length} characters, more than ${MAX_PATH}`)
  return {
    domain: host,
    path,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest: parseDigest(digest, `reference ${quote(text)}: digest`) }),
  }
}

/**
 * The reference in CRI's normal form, which is the value of the label cri.image-ref: with host and `library/`, with `latest`
 * where there is neither tag nor digest, and without the tag where there is a digest. Errors as parseReference.
 */
export function normalizeReference(text: string): string {
  const { domain, path, tag, digest } = parseReference(text)
  const name = domain === '' ? path : `${domain}/${path}`
  return digest === undefined ? `${name}:${tag ?? 'latest'}` : `${name}@${digest}`
}

/**
 * Checks a name from a node's store. It need not follow the grammar, because containerd labels snapshots with it as it is.
 * REFERENCE_INVALID where it cannot be the value of a label, or has characters that a reader does not see.
 */
export function checkStoredName(name: string): string {
  if (name === '') refuse(name, 'is empty')
  if (!name.isWellFormed()) refuse(name, 'has half a surrogate pair')
  // The rule is against control characters in patterns, and this pattern is there to find them.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001F\u007F-\u009F]/.test(name)) refuse(name, 'has control characters')
  const length = byteLength(name)
  if (length > MAX_REFERENCE) refuse(name, `has ${length} bytes, more than ${MAX_REFERENCE}`)
  return name
}

/** Whether a name is in CRI's normal form. */
export function isNormalReference(name: string): boolean {
  try {
    return normalizeReference(name) === name
  } catch (error) {
    if (hasCode(error, 'REFERENCE_INVALID', 'DIGEST_INVALID')) return false
    throw error
  }
}

function splitDomain(text: string): [domain: string, remainder: string] {
  const slash = text.indexOf('/')
  const first = text.slice(0, Math.max(slash, 0))
  const isDomain = slash >= 0 && (first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase())
  const domain = !isDomain || first === 'index.docker.io' ? 'docker.io' : first
  const remainder = isDomain ? text.slice(slash + 1) : text
  return [domain, domain === 'docker.io' && !remainder.includes('/') ? `library/${remainder}` : remainder]
}

function refuse(text: string, problem: string): never {
  throw new LayercastError('REFERENCE_INVALID', `the reference ${quote(text)} ${problem}`, {
    fix: 'Name the image as a registry would: docker.io/library/nginx:1.29, or registry.example:5000/team/app@sha256:….',
    detail: { reference: text.slice(0, MAX_REFERENCE) },
  })
}
