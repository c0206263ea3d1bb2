/** Answers a registry's challenge: a token from its token server, or HTTP Basic. */
import { LayercastError } from '../../../errors.ts'
import { Field } from '../../../image/fields.ts'
import { parseJSON } from '../../../image/json.ts'
import { isLoopback } from './api-base.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import { documentBody } from './coding.ts'
import type { Credentials } from './credentials.ts'
import { refused } from './errors.ts'
import type { RegistryRequest } from './http-client.ts'
import type { Send } from './transport.ts'

const TOKEN_BYTES = 1 << 20
// OAuth 2 wants the client's name; token servers take any.
const CLIENT = 'layercast'

/**
 * The Authorization header that answers a challenge (distribution's token and OAuth 2 specifications, or HTTP Basic).
 * REGISTRY_FAILED where it cannot be answered.
 * @param response with the challenge; its body is read or cancelled
 * @param asked the URL that was refused, its scope, such as `repository:library/nginx:pull`, and the base of the host's API
 */
export async function authorizationFor(
  response: Response,
  asked: { url: URL; scope: string; base: URL },
  credentials: Credentials | undefined,
  send: Send,
): Promise<string> {
  const { url, scope, base } = asked
  const challenges = parseChallenges(response.headers.get('www-authenticate') ?? '')
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
  if (bearer) return `Bearer ${await fetchToken(bearer, { scope, base }, credentials, send)}`
  const basic = challenges.some(({ scheme }) => scheme === 'basic')
  if (!basic || credentials === undefined || !('username' in credentials)) {
    throw await refused('log in', url, response)
  }
  await response.body?.cancel()
  return basicField(credentials)
}

function basicField({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

async function fetchToken(
  { parameters }: Challenge,
  { scope, base }: { scope: string; base: URL },
  credentials: Credentials | undefined,
  send: Send,
): Promise<string> {
  const realm = realmOf(parameters.get('realm') ?? '', base)
  const service = parameters.get('service')
  const fields = new URLSearchParams({
    ...(service !== undefined && { service }),
    scope: parameters.get('scope') ?? scope,
  })
  const response = await send(realm, tokenRequest(realm, fields, credentials))
  if (response.status !== 200) throw await refused('get a token', realm, response)
  const token = await readToken(response, realm)
  if (token !== undefined) return token
  throw new LayercastError('REGISTRY_FAILED', `the token server ${realm.host} gives no token`, {
    fix: 'Ask whoever runs the registry.',
    detail: { host: realm.host },
  })
}

/** POST where there is an identity token; GET, which all servers know, otherwise. */
function tokenRequest(realm: URL, fields: URLSearchParams, credentials: Credentials | undefined): RegistryRequest {
  if (credentials !== undefined && 'identityToken' in credentials) {
    fields.set('grant_type', 'refresh_token')
    fields.set('client_id', CLIENT)
    fields.set('refresh_token', credentials.identityToken)
    return { method: 'POST', body: fields }
  }
  for (const [name, value] of fields) realm.searchParams.append(name, value)
  return credentials === undefined ? {} : { headers: { authorization: basicField(credentials) } }
}

/** The token server gets credentials: HTTPS, this machine, or the host itself where hosts.toml has it without TLS. */
function realmOf(text: string, base: URL): URL {
  const realm = URL.canParse(text) ? new URL(text) : undefined
  const plain = realm?.protocol === 'http:' && (isLoopback(realm) || realm.origin === base.origin)
  if (realm !== undefined && (realm.protocol === 'https:' || plain)) return realm
  throw new LayercastError('REGISTRY_FAILED', `the registry sends to ${JSON.stringify(text)} for a token`, {
    fix: 'A token server must be asked over HTTPS: ask whoever runs the registry.',
    detail: { realm: text },
  })
}

async function readToken(response: Response, realm: URL): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of documentBody(response)) {
    size += chunk.length
    if (size > TOKEN_BYTES) break
    chunks.push(chunk)
  }
  const what = `answer of the token server ${realm.host}`
  const answer = new Field(parseJSON(Buffer.concat(chunks), { what, maxBytes: TOKEN_BYTES }), what, 'REGISTRY_FAILED')
  const token = answer.get('token').optionalString() || answer.get('access_token').optionalString()
  // It goes into a header, so anything that could end the line is refused.
  return token !== undefined && /^[\x21-\x7e]+$/.test(token) ? token : undefined
}
