/** Reads one directory of containerd's `certs.d`: a hosts.toml, or docker's certificates. */
import { X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { isAbsolute, join, posix } from 'node:path'
import { createSecureContext, getCACertificates } from 'node:tls'
import { parse, TomlError } from 'smol-toml'
import { booleanAt, stringAt, asTable, type Table } from '../../../node/containerd-config/table.ts'
import { invalid } from '../errors.ts'
import type { TlsSettings } from './http-client.ts'

/** One host of a hosts.toml. */
export interface HostEntry {
  /** The base URL of its API; undefined for the registry in the image's name. */
  base: URL | undefined
  /** Whether it serves blobs and manifests by digest. */
  pull: boolean
  /** Whether it says what a tag points to. */
  resolve: boolean
  headers: [name: string, value: string][]
  /** Undefined where the file has no TLS settings. */
  tls: TlsSettings | undefined
  /** How long connecting may take, in milliseconds. */
  dialMs: number | undefined
}

const CAPABILITIES = new Set(['pull', 'resolve', 'push', 'referrers'])
const UNITS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/**
 * The hosts of a directory of `certs.d`, in the order in which containerd asks them: the `host` tables of its hosts.toml, then
 * the `server`. Without a hosts.toml it is the registry itself, with docker's `*.crt`, `*.cert` and `*.key`.
 *
 * SOURCE_INVALID for a file that is not right. containerd ignores such a file and asks the registry itself, which is not what
 * somebody wants who configured a mirror.
 */
export async function readHostDirectory(directory: string): Promise<HostEntry[]> {
  const path = join(directory, 'hosts.toml')
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw invalid(path, `cannot be read: ${error.message}`, 'Make it readable for this user.', error)
  })
  if (text === '') return [await certificateEntry(directory)]
  const document = parseToml(path, text)
  const entries: HostEntry[] = []
  for (const [name, settings] of Object.entries(asTable(document['host']) ?? {})) {
    entries.push(await readEntry(path, directory, name, asTable(settings) ?? {}))
  }
  const server = document['server'] === undefined ? '' : stringOf(path, 'server', document['server'])
  return [...entries, await readEntry(path, directory, server, document)]
}

function parseToml(path: string, text: string): Table {
  try {
    return parse(text) as Table
  } catch (error) {
    const where = error instanceof TomlError ? ` at line ${error.line}, column ${error.column}` : ''
    throw invalid(path, `is not valid TOML${where}`, 'Mend the file; containerd ignores it as it is.', error)
  }
}

async function readEntry(path: string, directory: string, name: string, settings: Table): Promise<HostEntry> {
  const capabilities = stringsOf(path, 'capabilities', settings['capabilities']).map((one) => one.toLowerCase())
  const unknown = capabilities.find((one) => !CAPABILITIES.has(one))
  if (unknown !== undefined) throw bad(path, `has the unknown capability ${JSON.stringify(unknown)}`)
  const base = name === '' ? undefined : baseOf(path, name, booleanAt(settings, 'override_path') === true)
  // As in containerd, the capabilities in the file do not count for the registry itself.
  const all = base === undefined || capabilities.length === 0
  const timeout = stringAt(settings, 'dial_timeout')
  return {
    base,
    pull: all || capabilities.includes('pull'),
    resolve: all || capabilities.includes('resolve'),
    headers: headersOf(path, asTable(settings['header']) ?? {}),
    tls: await readTls(path, directory, settings),
    dialMs: timeout === undefined ? undefined : durationOf(path, timeout),
  }
}

/** The base of the API: `/v2` below the given path, or the path itself where `override_path` is true. */
function baseOf(path: string, name: string, overridePath: boolean): URL {
  const text = name.startsWith('http') ? name : `https://${name}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw bad(path, `names the host ${JSON.stringify(name)}, which is no URL`)
  }
  const given = posix.normalize(url.pathname).replace(/\/+$/, '')
  const base = new URL(url.origin)
  base.pathname = `${overridePath || given.endsWith('/v2') ? given : `${given}/v2`}/`
  return base
}

function headersOf(path: string, settings: Table): HostEntry['headers'] {
  const headers = Object.entries(settings).flatMap(([key, value]) =>
    stringsOf(path, `header.${key}`, value).map((one): [string, string] => [key, one]),
  )
  // The message does not show the value, which is often a secret.
  const wrong = headers.find(([key, value]) => !/^[-!#$%&'*+.^`|~\w]+$/.test(key) || !/^[\t\x20-\x7e]*$/.test(value))
  if (wrong !== undefined) throw bad(path, `has the header ${JSON.stringify(wrong[0])}, which cannot be sent`)
  return headers
}

async function readTls(path: string, directory: string, settings: Table): Promise<TlsSettings | undefined> {
  const { ca, client, skip_verify: skip } = settings
  if (ca === undefined && client === undefined && skip === undefined) return undefined
  if (skip !== undefined && typeof skip !== 'boolean')
    throw bad(path, 'has a skip_verify that is neither true nor false')
  const list = client === undefined || Array.isArray(client) ? (client ?? []) : [client]
  const pairs = list.map((one: unknown): [string, string | undefined] => {
    const files = stringsOf(path, 'client', one)
    if (Array.isArray(one) && files.length !== 2)
      throw bad(path, 'has a client pair that is not a certificate and a key')
    return [files[0] ?? '', files[1]]
  })
  return loadTls(path, directory, stringsOf(path, 'ca', ca), pairs, skip === true)
}

async function loadTls(
  path: string,
  directory: string,
  ca: readonly string[],
  pairs: readonly [cert: string, key: string | undefined][],
  insecure: boolean,
): Promise<TlsSettings> {
  const load = (file: string): Promise<string> => readPem(isAbsolute(file) ? file : join(directory, file))
  const authorities = await Promise.all(ca.map(load))
  const loaded = await Promise.all(
    pairs.map(async ([cert, key]) => ({ cert: await load(cert), key: await load(key ?? cert) })),
  )
  try {
    // OpenSSL ignores an authority that it cannot read, so each one is parsed here.
    for (const authority of authorities) void new X509Certificate(authority)
    createSecureContext({ ca: authorities, cert: loaded.map(({ cert }) => cert), key: loaded.map(({ key }) => key) })
  } catch (error) {
    throw invalid(
      path,
      `names certificates or keys that cannot be used: ${(error as Error).message}`,
      'Check that each is PEM, without a password, and that each key is that of its certificate.',
      error,
    )
  }
  return {
    // As in containerd, in addition to those that Node trusts.
    ca: authorities.length === 0 ? undefined : [...getCACertificates('default'), ...authorities],
    pairs: loaded,
    insecure,
  }
}

async function readPem(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw invalid(
      path,
      `cannot be read: ${error.message}`,
      'Check the ca and client of the hosts.toml that names it.',
      error,
    )
  })
  if (text.includes('-----BEGIN ')) return text
  throw invalid(path, 'holds no certificate or key in PEM', 'Check the ca and client of the hosts.toml that names it.')
}

/** Docker's layout: `*.crt` are authorities; `X.cert` is a client certificate, and its key is in X.key or in the same file. */
async function certificateEntry(directory: string): Promise<HostEntry> {
  const names = (await readdir(directory)).toSorted()
  const pairs = names
    .filter((name) => name.endsWith('.cert'))
    .map((name): [string, string | undefined] => {
      const key = `${name.slice(0, -'.cert'.length)}.key`
      return [name, names.includes(key) ? key : undefined]
    })
  const ca = names.filter((name) => name.endsWith('.crt'))
  const tls = ca.length + pairs.length === 0 ? undefined : await loadTls(directory, directory, ca, pairs, false)
  return { base: undefined, pull: true, resolve: true, headers: [], tls, dialMs: undefined }
}

/** A duration in Go's format, such as `1m30s`, in milliseconds. */
function durationOf(path: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([all]) => all).join('') !== text) {
    throw bad(path, `has the dial_timeout ${JSON.stringify(text)}`)
  }
  return parts.reduce((sum, [, count, unit = 'ms']) => sum + Number(count) * (UNITS[unit] ?? 0), 0)
}

function stringOf(path: string, key: string, value: unknown): string {
  if (typeof value !== 'string') throw bad(path, `has a ${key} that is no text`)
  return value
}

function stringsOf(path: string, key: string, value: unknown): string[] {
  if (value === undefined) return []
  return (Array.isArray(value) ? value : [value]).map((one: unknown) => stringOf(path, key, one))
}

const bad = (path: string, problem: string): ReturnType<typeof invalid> =>
  invalid(path, problem, "Mend the file: containerd's docs/hosts.md says what may be in it.")
