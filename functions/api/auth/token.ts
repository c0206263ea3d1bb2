/** Token texts: `lc_<scope>_<id>_<secret>`, the secret 256 random bits in base64url. */
import { newId } from '../store/id.ts'
import { sha256Hex } from './hash.ts'

export type Scope = 'operator' | 'join' | 'node'

export interface Token {
  scope: Scope
  id: string
}

const TOKEN = /^lc_(operator|join|node)_([a-z0-9]{1,64})_[A-Za-z0-9_-]{43}$/

/** What a token says of itself, or undefined if it is none. Nothing of it is believed until its hash is compared. */
export function readToken(text: string): Token | undefined {
  const match = TOKEN.exec(text)
  return match === null ? undefined : { scope: match[1] as Scope, id: match[2] as string }
}

/** A new token: its text to give away, and what to keep of it. */
export async function newToken(scope: Scope): Promise<{ id: string; text: string; sha256: string }> {
  const id = newId()
  const secret = crypto.getRandomValues(new Uint8Array(32))
  const text = `lc_${scope}_${id}_${base64url(secret)}`
  return { id, text, sha256: await sha256Hex(text) }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
