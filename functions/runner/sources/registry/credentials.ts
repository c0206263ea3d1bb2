/** The credentials for a registry, from docker's config.json and its credential helpers. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LayercastError } from '../../../errors.ts'
import { Field } from '../../../image/fields.ts'
import { parseJSON } from '../../../image/json.ts'
import { DOCKER_HUB } from './api-base.ts'

/** A name and a password, or an identity token that stands for both. */
export type Credentials = { username: string; password: string } | { identityToken: string }

const HELPER_MS = 30_000
// The name with which a helper says that the secret is an identity token.
const TOKEN_USER = '<token>'

/**
 * The credentials that docker's config.json has for a repository, in the file or in a credential helper; undefined where there
 * are none. As with podman and skopeo (containers-auth.json), a key may name a part of a registry: the longest key that is a
 * prefix of the repository counts. SOURCE_INVALID for a file that is not what it should be, REGISTRY_FAILED where a helper
 * fails.
 * @param domain of the registry, as in image names
 * @param path of the repository
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
  const keys = registryKeys(domain)
  const parts = partKeys(domain, path)
  const helpers = config.get('credHelpers').strings() ?? {}
  const auths = config.get('auths')
  const known = (key: string): boolean => Object.hasOwn(helpers, key) || (auths.present && auths.has(key))
  const longest = parts.find(known)
  // Credentials in the file for a part of the registry win over a helper for all of it.
  const key = longest ?? keys.find((candidate) => Object.hasOwn(helpers, candidate))
  const helper = key !== undefined && Object.hasOwn(helpers, key) ? helpers[key] : undefined
  if (helper) return await askHelper(helper, key as string)
  const store = config.get('credsStore').optionalString()
  // As in docker, an empty helper name means the file itself. A credential store knows whole registries only.
  if (store && helper === undefined && longest === undefined) {
    for (const server of keys) {
      const found = await askHelper(store, server)
      if (found) return found
    }
  }
  return fromAuths(auths, [...parts, ...keys])
}

/** The keys under which docker's config.json may have the credentials of a whole registry. */
function registryKeys(domain: string): string[] {
  return domain === DOCKER_HUB ? ['https://index.docker.io/v1/', 'index.docker.io', DOCKER_HUB] : [domain]
}

/** The keys for a part of a registry (`host/team/app`, `host/team`), the longest first. */
function partKeys(domain: string, path: string): string[] {
  const parts = path.split('/')
  return parts.map((_, n) => [domain, ...parts.slice(0, parts.length - n)].join('/'))
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

/** docker writes the host as the key; older versions and other tools wrote URLs. */
function spellings(key: string): string[] {
  return [key, `https://${key}`, `https://${key}/`, `https://${key}/v1/`, `https://${key}/v2/`, `http://${key}`]
}

function decodeAuth(field: Field): [username: string, password: string] {
  const encoded = field.optionalString()
  if (!encoded) return ['', '']
  const text = Buffer.from(encoded, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = text.indexOf(':')
  // The message does not show the value, which is a secret.
  if (colon < 0) {
    throw new LayercastError('SOURCE_INVALID', `${field.place} is not the base64 of NAME:PASSWORD`, {
      fix: 'Log in again: docker login, skopeo login or podman login.',
    })
  }
  return [text.slice(0, colon), text.slice(colon + 1)]
}

/** Runs `docker-credential-NAME get`; undefined where it has nothing for the server. */
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
    // A helper that is missing or ends at once does not read its input; its exit status is what counts.
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
