import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dir, file } from '../../../support/images/entries.ts'
import { buildImage, digestOf, type BuiltImage } from '../../../support/images/image.ts'
import { startFront, type Front } from '../support/http-front.ts'
import { differences, failure, openFailure, readAll, withSource } from '../support/sources.ts'

/** Compresses to less than half, so that its gzipped form can be cut and read on in the middle. */
const text = Array.from({ length: 60_000 }, (_, n) => `${n} ${(n * 2654435761) % 4294967296}\n`).join('')
const image = buildImage({
  layers: [[dir('etc'), file('etc/big', text)], [file('etc/two', '2')], [file('etc/three', '3')]],
  compression: ['none', 'gzip', 'zstd'],
})
const [plain, gzipped] = image.layers
if (plain === undefined || gzipped === undefined) throw new Error('no layers')

interface Answer {
  status?: number
  headers?: Record<string, string | string[]>
  body?: Uint8Array | string
  /** Without a length, so that the server sends it in chunks. */
  chunked?: boolean
  /** The line is cut after so many bytes. */
  cut?: number
}
/** What is odd: takes the request and the answer that a right registry would give. */
type Odd = (right: Answer, request: IncomingMessage, host: string) => Answer

const fronts: Front[] = []
let config = ''
let before: string | undefined
beforeEach(() => {
  before = process.env['DOCKER_CONFIG']
  config = mkdtempSync(join(tmpdir(), 'layercast-docker-config-'))
  process.env['DOCKER_CONFIG'] = config
})
afterEach(async () => {
  if (before === undefined) delete process.env['DOCKER_CONFIG']
  else process.env['DOCKER_CONFIG'] = before
  rmSync(config, { recursive: true, force: true })
  for (const front of fronts.splice(0)) await front.close()
})
const writeConfig = (value: unknown): void => writeFileSync(join(config, 'config.json'), JSON.stringify(value))
const encoded = (account: string): string => Buffer.from(account).toString('base64')

function rightAnswer(of: BuiltImage, url: string): Answer {
  const [, kind, reference = ''] = /\/(manifests|blobs)\/([^/?]+)$/.exec(url) ?? []
  const body =
    kind === 'manifests' && (reference === '1' || reference === of.manifest.digest)
      ? of.manifestBytes
      : [...of.blobs].find(([digest]) => digest === reference)?.[1]
  if (kind === undefined || body === undefined) return { status: 404, body: '{}' }
  const type = kind === 'manifests' ? of.manifest.mediaType : 'application/octet-stream'
  return { body, headers: { 'content-type': type, 'docker-content-digest': reference } }
}

function send(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  const { status = 200, headers = {}, body = '', chunked = false, cut } = answer
  const bytes = Buffer.from(body)
  response.writeHead(status, { ...headers, ...(chunked ? {} : { 'content-length': String(bytes.length) }) })
  if (request.method === 'HEAD') response.end()
  else if (cut === undefined) response.end(bytes)
  else response.write(bytes.subarray(0, cut), () => response.destroy())
}

async function oddRegistry(odd: Odd): Promise<Front> {
  const front = await startFront((request, response) => {
    const host = request.headers.host ?? ''
    send(response, request, odd(rightAnswer(image, request.url ?? ''), request, host))
  })
  fronts.push(front)
  return front
}

const isBlob = (request: IncomingMessage): boolean => request.url?.includes('/blobs/') === true
const isGzip = (body: Answer['body']): boolean => body instanceof Uint8Array && body[0] === 0x1f && body[1] === 0x8b
const challenge = (...fields: string[]): Answer => ({ status: 401, headers: { 'www-authenticate': fields } })
const coded =
  (name: string, code: (data: Uint8Array) => Uint8Array, chunked = false): Odd =>
  (right) =>
    right.status === undefined
      ? { body: code(Buffer.from(right.body ?? '')), headers: { ...right.headers, 'content-encoding': name }, chunked }
      : right

const seenRetries = new Map<string, number>()
const ODD: Record<string, { odd: Odd; auths?: (host: string) => unknown }> = {
  'xgzip: calls the layer x-gzip, which it is': {
    odd: (right) => (isGzip(right.body) ? { ...right, headers: { 'content-encoding': 'x-gzip' } } : right),
  },
  'xgzip: the same, without a length': {
    odd: (right) =>
      isGzip(right.body) ? { ...right, headers: { 'content-encoding': 'x-gzip' }, chunked: true } : right,
  },
  'gzipneg: gzips all for those who take gzip': {
    odd: (right, request, host) =>
      /gzip/.test(String(request.headers['accept-encoding'])) ? coded('gzip', gzipSync)(right, request, host) : right,
  },
  'gzips all, whoever asks': { odd: coded('gzip', gzipSync) },
  'gzips all, whoever asks, in chunks': { odd: coded('gzip', gzipSync, true) },
  'deflates all': { odd: coded('deflate', deflateSync) },
  'compresses all by zstd': { odd: coded('zstd', zstdCompressSync) },
  'states a coding that is none': {
    odd: (right) => ({ ...right, headers: { ...right.headers, 'content-encoding': 'aws-chunked' } }),
  },
  'basic: wants the account of the file, past a store, where credHelpers says so': {
    odd: (right, request) =>
      request.headers.authorization === `Basic ${encoded('u:p')}` ? right : challenge('Basic realm="x"'),
    auths: (host) => ({
      credsStore: 'layercast-absent',
      credHelpers: { [host]: '' },
      auths: { [host]: { auth: encoded('u:p') } },
    }),
  },
  'two: offers Negotiate and Bearer, with a realm that has a query': {
    odd: (right, request, host) => {
      if (request.url?.startsWith('/token?existing=1&service=s%2C+with+comma&scope=')) {
        return { body: gzipSync('{"access_token":"tok.en"}'), headers: { 'content-encoding': 'gzip' } }
      }
      return request.headers.authorization === 'Bearer tok.en'
        ? right
        : challenge(
            'Negotiate',
            `Bearer realm="http://${host}/token?existing=1",service="s, with comma",scope="repository:team-a/app:pull,push"`,
          )
    },
  },
  'redir: sends to a relative place': {
    odd: (right, request) => {
      const digest = /^\/store\/(.*)$/.exec(request.url ?? '')?.[1]
      if (digest !== undefined) return rightAnswer(image, `/blobs/${digest}`)
      return isBlob(request) && right.status === undefined
        ? { status: 307, headers: { location: `/store/${request.url?.split('/').at(-1)}` } }
        : right
    },
  },
  'retry: is busy until a date, twice': {
    odd: (right, request) => {
      const key = `${request.headers.host}${request.url}`
      const tries = (seenRetries.get(key) ?? 0) + 1
      seenRetries.set(key, tries)
      if (tries > 2 || isBlob(request)) return right
      return { status: 429, headers: { 'retry-after': new Date(Date.now() + 1000).toUTCString() } }
    },
  },
  'plain: calls everything text/plain, and states no digest': {
    odd: (right) => ({ ...right, headers: { 'content-type': 'text/plain' } }),
  },
  'team-a: wants the account of a part of the registry': {
    odd: (right, request) =>
      request.headers.authorization === `Basic ${encoded('team:a')}` ? right : challenge('Basic realm="x"'),
    auths: (host) => ({
      auths: { [host]: { auth: encoded('u:p') }, [`${host}/team-a`]: { auth: encoded('team:a') } },
    }),
  },
  'short: breaks in the middle once, and goes on in the gzipped form': {
    odd: (() => {
      let broken = false
      return (right, request) => {
        if (request.url?.endsWith(plain.digest) !== true || request.method === 'HEAD') return right
        const body = gzipSync(Buffer.from(right.body ?? ''))
        const headers = { ...right.headers, 'content-encoding': 'gzip' }
        const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
        if (from > 0) {
          const range = `bytes ${from}-${body.length - 1}/${body.length}`
          return { status: 206, body: body.subarray(from), headers: { ...headers, 'content-range': range } }
        }
        if (broken) return { body, headers }
        broken = true
        return { body, headers, cut: Math.floor(body.length / 2) }
      }
    })(),
  },
}

test.each(Object.entries(ODD))(
  'an odd registry: %s',
  async (_, { odd, auths }) => {
    const { host } = await oddRegistry(odd)
    if (auths !== undefined) writeConfig(auths(host))
    await withSource(`docker://${host}/team-a/app:1`, async (source) => {
      expect(source.target).toEqual(image.manifest)
      expect(await differences(source, image)).toEqual([])
    })
  },
  30_000,
)

test('registries are asked for no coding', async () => {
  const asked: unknown[] = []
  const { host } = await oddRegistry((right, request) => {
    asked.push(request.headers['accept-encoding'])
    return right
  })
  await withSource(`docker://${host}/team-a/app:1`, async (source) => await differences(source, image))
  expect(new Set(asked)).toEqual(new Set(['identity']))
})

test('a coding that is not what it says it is does not become a blob', async () => {
  const { host } = await oddRegistry((right, request) =>
    isBlob(request) ? { body: 'no gzip', headers: { 'content-encoding': 'gzip' } } : right,
  )
  await withSource(`docker://${host}/team-a/app:1`, async (source) => {
    expect(await failure(readAll(source, plain))).toMatchObject({ code: 'REGISTRY_FAILED' })
  })
})

test('a small coded answer does not become a large one', async () => {
  const { host } = await oddRegistry((right, request) =>
    isBlob(request) ? { body: gzipSync(Buffer.alloc(64 << 20)), headers: { 'content-encoding': 'gzip' } } : right,
  )
  await withSource(`docker://${host}/team-a/app:1`, async (source) => {
    expect(await failure(readAll(source, gzipped))).toMatchObject({ code: 'DIGEST_MISMATCH' })
  })
})

test('the words of a refusal are read through a coding', async () => {
  const words = gzipSync(JSON.stringify({ errors: [{ code: 'DENIED', message: 'not for you' }] }))
  const { host } = await oddRegistry(() => ({ status: 403, body: words, headers: { 'content-encoding': 'gzip' } }))
  const { message } = await openFailure(`docker://${host}/team-a/app:1`)
  expect(message).toContain('DENIED not for you')
})

test('a helper for one registry is no helper for a part of it that the file has an account for', async () => {
  const helper = join(config, 'docker-credential-layercast-test')
  writeFileSync(helper, `#!/bin/sh\necho '{"Username":"u","Secret":"p"}'\n`)
  chmodSync(helper, 0o755)
  const path = process.env['PATH']
  process.env['PATH'] = `${config}:${path}`
  try {
    const { host } = await oddRegistry((right, request) => {
      const due = request.url?.includes('/team-a/') ? 'team:a' : 'u:p'
      return request.headers.authorization === `Basic ${encoded(due)}` ? right : challenge('Basic realm="x"')
    })
    writeConfig({
      credHelpers: { [host]: 'layercast-test' },
      auths: { [`${host}/team-a`]: { auth: encoded('team:a') } },
    })
    for (const name of ['team-a/app', 'other/app']) {
      await withSource(`docker://${host}/${name}:1`, async (source) =>
        expect(digestOf(await readAll(source, gzipped))).toBe(gzipped.digest),
      )
    }
  } finally {
    process.env['PATH'] = path
  }
})
