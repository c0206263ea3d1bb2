import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LayercastError } from '../../../errors.ts'
import { Field } from '../../../image/fields.ts'
import { parseJSON } from '../../../image/json.ts'
import { credentialKeys, narrowKeys } from './api-base.ts'

/** Who to be at a registry: a name and a password, or a token that stands for both. */
export type Credentials = { username: string; password: string } | { identityToken: string }

const HELPER_MS = 30_000
// What a helper answers with for an account that stands for a token.
const TOKEN_USER = '<token>'

/**
 * The credentials that docker's config.json has for a registry, in it or behind a credential helper; undefined where
 * there are none. Like podman and skopeo, it knows accounts for a part of a registry (containers-auth.json): the longest
 * key that the repository lies below counts. SOURCE_INVALID when the file cannot be read as what it should be, REGISTRY_FAILED when a helper fails.
 */
export async function findCredentials(domain: string, path: string): Promise<Credentials | undefined> {
  const file = join(process.env['DOCKER_CONFIG'] || join(homedir(), '.docker'), 'config.json')
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw new LayercastError('SOURCE_INVALID', `${file} cannot be read: ${error.message}`, {
      cause: error,
      fix: 'Make it readable for this user, or set DOCKER_CONFIG to another directory.',
    })
  })
  if (bytes === undefined) return undefined
  const config = new Field(parseJSON(bytes, { what: file }), file, 'SOURCE_INVALID')
  const keys = credentialKeys(domain)
  const narrow = narrowKeys(domain, path)
  const helpers = config.get('credHelpers').strings() ?? {}
  const auths = config.get('auths')
  const known = (key: string): boolean => Object.hasOwn(helpers, key) || (auths.present && auths.has(key))
  const narrowest = narrow.find(known)
  // An account of the file for a part of the registry goes before a helper for all of it.
  const key = narrowest ?? keys.find((candidate) => Object.hasOwn(helpers, candidate))
  const helper = key !== undefined && Object.hasOwn(helpers, key) ? helpers[key] : undefined
  if (helper) return await askHelper(helper, key as string)
  const store = config.get('credsStore').optionalString()
  // As docker has it, an entry that names no helper means the file itself; a store knows whole registries only.
  if (store && helper === undefined && narrowest === undefined) {
    for (const server of keys) {
      const found = await askHelper(store, server)
      if (found) return found
    }
  }
  return fromAuths(auths, [...narrow, ...keys])
}

function fromAuths(auths: Field, keys: readonly string[]): Credentials | undefined {
  if (!auths.present) return undefined
  for (const key of keys.flatMap(spellings)) {
    const entry = auths.get(key)
    if (!entry.present) continue
    const identityToken = entry.get('identitytoken').optionalString()
    if (identityToken) return { identityToken }
    const [username, password] = decodeAuth(entry.get('auth'))
    const credentials = {
      username: username || (entry.get('username').optionalString() ?? ''),
      password: password || (entry.get('password').optionalString() ?? ''),
    }
    if (credentials.username !== '') return credentials
  }
  return undefined
}

/** docker writes the host; older versions and other tools wrote URLs. */
function spellings(key: string): string[] {
  return [key, `https://${key}`, `https://${key}/`, `https://${key}/v1/`, `https://${key}/v2/`, `http://${key}`]
}

function decodeAuth(field: Field): [username: string, password: string] {
  const encoded = field.optionalString()
  if (!encoded) return ['', '']
  const text = Buffer.from(encoded, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = text.indexOf(':')
  // The value is a secret, so it is not shown.
  if (colon < 0) {
    throw new LayercastError('SOURCE_INVALID', `${field.place} is not the base64 of NAME:PASSWORD`, {
      fix: 'Log in again: docker login, skopeo login or podman login.',
    })
  }
  return [text.slice(0, colon), text.slice(colon + 1)]
}

/** Asks `docker-credential-NAME get`; undefined when it knows nothing of the server. */
async function askHelper(helper: string, server: string): Promise<Credentials | undefined> {
  if (!/^[\w.-]+$/.test(helper)) {
    throw new LayercastError(
      'SOURCE_INVALID',
      `docker's config.json names the credential helper ${JSON.stringify(helper)}`,
      {
        fix: 'Name a helper by the part of its program after docker-credential-.',
      },
    )
  }
  const program = `docker-credential-${helper}`
  const answer = await new Promise<{ error: Error | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(program, ['get'], { timeout: HELPER_MS, maxBuffer: 1 << 20 }, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    )
    // A helper that is not there, or ends at once, does not take its input: its exit says so.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(server)
  })
  if (answer.error) {
    if (/not found/i.test(answer.stdout) || /not found/i.test(answer.stderr)) return undefined
    throw new LayercastError('REGISTRY_FAILED', `the credential helper ${program} failed for ${server}`, {
      cause: answer.error,
      fix: `Install ${program} or mend it; \`echo ${server} | ${program} get\` shows what it says.`,
    })
  }
  const fields = new Field(parseJSON(Buffer.from(answer.stdout), { what: program }), program, 'SOURCE_INVALID')
  const [username, password] = [fields.get('Username').string(), fields.get('Secret').string()]
  return username === TOKEN_USER ? { identityToken: password } : { username, password }
}
