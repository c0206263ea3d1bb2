/** Digests: parsed, made and compared. */
import { hashHex } from '../../core-wasm/core.ts'
import { LayercastError } from '../errors.ts'
import { quote } from './quote.ts'

/** How many hexadecimal digits the digest of each registered algorithm has. */
const HEX_LENGTH = { sha256: 64, sha384: 96, sha512: 128 } as const

export type DigestAlgorithm = keyof typeof HEX_LENGTH

declare const validated: unique symbol

/** A digest that has been checked (image-spec 1.1, "Digests"): `algorithm:hex`, in lower case, of the right length. */
export type Digest = string & { readonly [validated]: true }

/** Whether the text is a well-formed digest of an algorithm that layercast knows. */
export function isDigest(text: string): text is Digest {
  return problem(text) === undefined
}

/**
 * Parses a digest. DIGEST_INVALID says what is wrong with it.
 * @param what what the digest is of, for the message: `layers[2].digest`
 */
export function parseDigest(text: string, what = 'digest'): Digest {
  const wrong = problem(text)
  if (wrong === undefined) return text as Digest
  throw new LayercastError('DIGEST_INVALID', `${what} ${quote(text)} is not a digest: ${wrong}`, {
    fix: 'Give it as sha256:, sha384: or sha512: and the lower-case hexadecimal hash.',
    detail: { digest: text },
  })
}

/** The algorithm of a digest. */
export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm
}

/** The digest of these bytes. */
export function digestBytes(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${hashHex(algorithm, bytes)}` as Digest
}

/**
 * Checks that the bytes are those of the digest. DIGEST_MISMATCH where they are not.
 * @param what what the bytes are, for the message: `config`
 */
export function verifyBytes(bytes: Uint8Array, expected: Digest, what = 'content'): void {
  const actual = digestBytes(bytes, digestAlgorithm(expected))
  if (actual === expected) return
  throw new LayercastError('DIGEST_MISMATCH', `${what} has digest ${actual}, not ${expected}`, {
    fix: 'Give the exact bytes that the digest was taken of: reformatting a document changes its digest.',
    detail: { expected, actual, size: bytes.length },
  })
}

function problem(text: string): string | undefined {
  const colon = text.indexOf(':')
  if (colon < 0) return 'it has no "algorithm:"'
  const algorithm = text.slice(0, colon)
  if (!Object.hasOwn(HEX_LENGTH, algorithm))
    return `the algorithm ${quote(algorithm)} is none of sha256, sha384, sha512`
  const due = HEX_LENGTH[algorithm as DigestAlgorithm]
  const hex = text.slice(colon + 1)
  if (hex.length !== due) return `${algorithm} has ${due} hexadecimal digits, and this has ${hex.length}`
  return /^[0-9a-f]+$/.test(hex) ? undefined : 'its hash is not lower-case hexadecimal'
}
