/** Token texts: `lc_<scope>_<id>_<secret>`, the secret 256 random bits in base64url. */
import type { TokenScope } from '../../contract/route.ts'
import { sha256Hex } from '../hash.ts'
import { newId } from '../id.ts'

const TOKEN = /^lc_(operator|join|node)_([a-z0-9]{1,64})_[A-Za-z0-9_-]{43}$/

/** What a token's text says of itself, or undefined if it is no token. Believe none of it before its hash is compared. */
export function readToken(text: string): { scope: TokenScope; id: string } | undefined {
  const match = TOKEN.exec(text)
  return match === null ? undefined : { scope: match[1] as TokenScope, id: match[2] as string }
}

/** A new token: its text, which goes to its holder and is not kept, and the id and sha256 to keep. */
export async function newToken(scope: TokenScope): Promise<{ id: string; text: string; sha256: string }> {
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
