import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hostRoots } from '../../../../functions/runner/sources/registry/host-roots.ts'
import { openRegistry } from '../../../../functions/runner/sources/registry/open-registry.ts'
import type { ImageSource } from '../../../../functions/runner/sources/source.ts'
import { dir, file } from '../../../support/images/entries.ts'
import { buildImage, digestOf } from '../../../support/images/image.ts'
import { startFront, type Front, type Handler } from '../support/http-front.ts'
import { differences, failure, readAll } from '../support/sources.ts'

const image = buildImage({ layers: [[dir('etc'), file('etc/one', '1')], [file('etc/two', '2')]] })
const [first] = image.layers
if (first === undefined) throw new Error('no layers')

/** A name that no resolver knows: whoever asks the registry itself fails. */
const REGISTRY = 'registry.invalid'
let keys = ''
beforeAll(() => {
  keys = mkdtempSync(join(tmpdir(), 'layercast-keys-'))
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: keys, stdio: 'pipe' })
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  for (const name of ['server', 'client', 'stranger']) {
    const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
    openssl(...make, '-keyout', `${name}.key`, '-out', `${name}.crt`, ...names)
  }
  writeFileSync(join(keys, 'both.pem'), pem('client.crt') + pem('client.key'))
})
afterAll(() => rmSync(keys, { recursive: true, force: true }))
const pem = (name: string): string => readFileSync(join(keys, name), 'utf8')

let root = ''
let before: string | undefined
const closing: (() => Promise<void>)[] = []
beforeEach(() => {
  before = process.env['DOCKER_CONFIG']
  root = mkdtempSync(join(tmpdir(), 'layercast-certs-'))
  process.env['DOCKER_CONFIG'] = root
})
afterEach(async () => {
  if (before === undefined) delete process.env['DOCKER_CONFIG']
  else process.env['DOCKER_CONFIG'] = before
  rmSync(root, { recursive: true, force: true })
  for (const close of closing.splice(0)) await close()
})

const registry: Handler = (request, response) => {
  const [, path, kind, reference = ''] = /^(.*)\/(manifests|blobs)\/([^/?]+)/.exec(request.url ?? '') ?? []
  const found = reference === '1' ? image.manifest.digest : reference
  const body = path === undefined ? undefined : [...image.blobs].find(([digest]) => digest === found)?.[1]
  const manifest = image.manifest.digest === found ? image.manifestBytes : body
  if (manifest === undefined) return void response.writeHead(404).end()
  response.writeHead(200, { 'content-type': kind === 'manifests' ? image.manifest.mediaType : 'a/b' }).end(manifest)
}
const plain = async (handler: Handler = registry): Promise<Front> => {
  const front = await startFront(handler)
  closing.push(front.close)
  return front
}

interface Secure {
  host: string
  /** Common names of the clients' certificates; undefined for those without one. */
  clients: (string | undefined)[]
  seen: IncomingMessage[]
}
async function secure(options: { clientsOf?: string; handler?: RequestListener } = {}): Promise<Secure> {
  const clients: (string | undefined)[] = []
  const seen: IncomingMessage[] = []
  const { clientsOf, handler = (request, response) => void registry(request, response, undefined as never) } = options
  const client = clientsOf === undefined ? {} : { ca: pem(clientsOf), requestCert: true }
  const server: Server = createServer(
    { key: pem('server.key'), cert: pem('server.crt'), ...client },
    (request, response) => {
      clients.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN?.toString())
      seen.push(request)
      handler(request, response)
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  )
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, clients, seen }
}

const writeHosts = (directory: string, toml: string): void => {
  mkdirSync(join(root, directory), { recursive: true })
  writeFileSync(join(root, directory, 'hosts.toml'), toml)
}
const using = async <T>(name: string, work: (source: ImageSource) => Promise<T>): Promise<T> => {
  const source = await openRegistry(`docker://${name}`, name, [root])
  try {
    return await work(source)
  } finally {
    await source.close()
  }
}
/** What is wrong with the image as it comes; empty when nothing is. */
const pull = async (name = `${REGISTRY}/team/app:1`): Promise<string[]> =>
  await using(name, async (source) => {
    const named = source.reference === name ? [] : [`named ${source.reference}`]
    return [...named, ...(await differences(source, image))]
  })
const refused = async (name = `${REGISTRY}/team/app:1`): ReturnType<typeof failure> => await failure(pull(name))

describe('hosts.toml', () => {
  test('names mirrors, asked in order, and told for which registry', async () => {
    const [empty, full] = [await plain((_, response) => void response.writeHead(404).end()), await plain()]
    writeHosts(
      REGISTRY,
      `server = "http://${full.host}"\n[host."http://${empty.host}"]\n[host."http://${full.host}"]\n`,
    )
    expect(await pull()).toEqual([])
    expect(empty.seen.length).toBeGreaterThan(0)
    for (const one of full.seen) expect(one.url).toMatch(/^\/v2\/team\/app\/.*\?ns=registry\.invalid$/)
  })

  test('a mirror that is down is passed over', async () => {
    const [gone, full] = [await startFront(() => undefined), await plain()]
    await gone.close()
    writeHosts(REGISTRY, `server = "http://${full.host}"\n[host."http://${gone.host}"]\n`)
    expect(await pull()).toEqual([])
  })

  test('a mirror that lies about a digest is passed over', async () => {
    const [liar, full] = [await plain((_, response) => void response.end('{}')), await plain()]
    writeHosts(REGISTRY, `[host."http://${liar.host}"]\n[host."http://${full.host}"]\n`)
    await using(`${REGISTRY}/team/app@${image.manifest.digest}`, async (source) =>
      expect(source.target.digest).toBe(image.manifest.digest),
    )
  })

  test('a blob that breaks off at one mirror is read on at the next', async () => {
    const half = Math.floor(first.size / 2)
    const breaking = await plain((request, response, seen) => {
      if (!seen.url.includes(first.digest)) return registry(request, response, seen)
      if (seen.range !== undefined) return void response.destroy()
      response.writeHead(200, { 'content-length': first.size })
      response.write(image.blobs.get(first.digest)?.subarray(0, half), () => response.destroy())
    })
    const full = await plain()
    writeHosts(REGISTRY, `server = "http://${full.host}"\n[host."http://${breaking.host}"]\n`)
    await using(`${REGISTRY}/team/app:1`, async (source) =>
      expect(digestOf(await readAll(source, first))).toBe(first.digest),
    )
    expect(full.seen.map(({ range }) => range)).toEqual([`bytes=${half}-`])
  }, 60_000)

  test('a mirror that may only pull is not asked where a tag points', async () => {
    const [pulling, full] = [await plain(), await plain()]
    writeHosts(REGISTRY, `server = "http://${full.host}"\n[host."http://${pulling.host}"]\n  capabilities = ["pull"]\n`)
    expect(await pull()).toEqual([])
    expect(full.seen.map(({ url }) => url)).toContain('/v2/team/app/manifests/1?ns=registry.invalid')
    expect(pulling.seen.some(({ url }) => url.includes('/manifests/1'))).toBe(false)
    expect(pulling.seen.some(({ url }) => url.includes(first.digest))).toBe(true)
  })

  test('server stands for the registry, alone and with override_path', async () => {
    const front = await plain()
    writeHosts(REGISTRY, `server = "http://${front.host}/some/where"\n`)
    expect(await pull()).toEqual([])
    expect(front.seen[0]?.url).toBe('/some/where/v2/team/app/manifests/1?ns=registry.invalid')
    writeHosts(REGISTRY, `server = "http://${front.host}/v2/proxy"\noverride_path = true\n`)
    front.seen.length = 0
    expect(await pull()).toEqual([])
    expect(front.seen[0]?.url).toBe('/v2/proxy/team/app/manifests/1?ns=registry.invalid')
  })

  test.each([
    [`${REGISTRY}:5000`, `${REGISTRY}_5000_`],
    [`${REGISTRY}:5000`, `${REGISTRY}:5000`],
    [REGISTRY, '_default'],
  ])('for %s is found in %s', async (domain, directory) => {
    const front = await plain()
    writeHosts(directory, `server = "http://${front.host}"\n`)
    expect(await pull(`${domain}/team/app:1`)).toEqual([])
    expect(front.seen[0]?.url).toContain(`ns=${domain.replace(':', '%3A')}`)
  })

  test('headers go to their own host and no further', async () => {
    const storage = await plain()
    const told: unknown[] = []
    const front = await plain((request, response, seen) => {
      told.push(request.headers['x-secret'])
      if (!seen.url.includes('/blobs/')) return registry(request, response, seen)
      response.writeHead(307, { location: `http://${storage.host}${seen.url}` }).end()
    })
    const shown: unknown[] = []
    const listener = await plain((request, response, seen) => {
      shown.push(request.headers['x-secret'])
      return registry(request, response, seen)
    })
    writeHosts(REGISTRY, `server = "http://${listener.host}"\n[host."http://${front.host}".header]\nx-secret = "one"\n`)
    expect(await pull()).toEqual([])
    expect(new Set(told)).toEqual(new Set(['one']))
    await using(`${REGISTRY}/team/app:1`, async (source) => await source.has(digestOf('absent')))
    expect(new Set(shown)).toEqual(new Set([undefined]))
    expect(storage.seen.length).toBeGreaterThan(0)
  })

  test('a mirror is not shown the account of the registry, but its own', async () => {
    const asking: Handler = (request, response, seen) =>
      seen.authorization === `Basic ${Buffer.from('mirror:m').toString('base64')}`
        ? registry(request, response, seen)
        : void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
    const front = await plain(asking)
    writeHosts(REGISTRY, `server = "http://${front.host}"\n`)
    const account = (text: string): object => ({ auth: Buffer.from(text).toString('base64') })
    writeFileSync(join(root, 'config.json'), JSON.stringify({ auths: { [REGISTRY]: account('secret:s') } }))
    expect(await refused()).toMatchObject({ code: 'REGISTRY_FAILED' })
    expect(front.seen.map((one) => one.authorization)).toEqual(front.seen.map(() => undefined))
    const auths = { [REGISTRY]: account('secret:s'), [front.host]: account('mirror:m') }
    writeFileSync(join(root, 'config.json'), JSON.stringify({ auths }))
    expect(await pull()).toEqual([])
  })

  test.each([
    ['no TOML', 'server = \n'],
    ['an unknown capability', '[host."http://127.0.0.1:1"]\ncapabilities = ["fetch"]\n'],
    ['no URL', 'server = "http://a b"\n'],
    ['a CA that is not there', 'server = "https://127.0.0.1:1"\nca = "absent.crt"\n'],
    ['a pair of three', 'client = [["a", "b", "c"]]\n'],
    ['a header of two lines', '[header]\nx-a = "a\\nb: c"\n'],
    ['a timeout that is none', 'dial_timeout = "soon"\n'],
  ])('with %s is refused, and the registry itself is not asked instead', async (_, toml) => {
    writeHosts(REGISTRY, toml)
    const { code, message } = await refused()
    expect([code, message]).toEqual(['SOURCE_INVALID', expect.stringContaining(REGISTRY)])
  })
})

describe('TLS of hosts.toml', () => {
  test('an unknown authority is refused, a named one is trusted, and skip_verify takes any', async () => {
    const { host } = await secure()
    writeHosts(REGISTRY, `server = "https://${host}"\n`)
    expect(await refused()).toMatchObject({ code: 'REGISTRY_UNREACHABLE', fix: expect.stringContaining('hosts.toml') })
    writeHosts(REGISTRY, `server = "https://${host}"\nca = "${keys}/stranger.crt"\n`)
    expect(await refused()).toMatchObject({ code: 'REGISTRY_UNREACHABLE' })
    for (const line of [
      `ca = "${keys}/server.crt"`,
      `ca = ["${keys}/stranger.crt", "${keys}/server.crt"]`,
      'skip_verify = true',
    ]) {
      writeHosts(REGISTRY, `server = "https://${host}"\n${line}\n`)
      expect(await pull()).toEqual([])
    }
  })

  test('a key that is not that of its certificate is refused', async () => {
    writeHosts(REGISTRY, `client = [["${keys}/client.crt", "${keys}/stranger.key"]]\n`)
    expect(await refused()).toMatchObject({ code: 'SOURCE_INVALID', message: expect.stringContaining('hosts.toml') })
    writeFileSync(join(root, 'bad.crt'), '-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n')
    writeHosts(REGISTRY, `ca = "${root}/bad.crt"\n`)
    expect(await refused()).toMatchObject({ code: 'SOURCE_INVALID' })
  })

  test('a certificate beside hosts.toml is found by its name', async () => {
    const { host } = await secure()
    writeHosts(REGISTRY, `server = "https://${host}"\nca = "ca.crt"\n`)
    writeFileSync(join(root, REGISTRY, 'ca.crt'), pem('server.crt'))
    expect(await pull()).toEqual([])
  })

  test.each([
    ['a file of both', (at: string) => `client = "${at}/both.pem"`],
    ['a list of files of both', (at: string) => `client = ["${at}/both.pem"]`],
    ['a pair', (at: string) => `client = [["${at}/client.crt", "${at}/client.key"]]`],
  ])('the client shows its certificate out of %s, and to no other host', async (_, client) => {
    const storage = await secure({ clientsOf: 'client.crt' })
    const front = await secure({
      clientsOf: 'client.crt',
      handler: (request, response) => {
        if (request.url?.includes('/blobs/') !== true) return void registry(request, response, undefined as never)
        response.writeHead(307, { location: `https://${storage.host}${request.url}` }).end()
      },
    })
    writeHosts(REGISTRY, `[host."https://${front.host}"]\nca = "${keys}/server.crt"\n${client(keys)}\n`)
    // A server that asks for certificates ends the connection of a client without one.
    expect(await using(`${REGISTRY}/team/app:1`, async (source) => source.target)).toEqual(image.manifest)
    expect(new Set(front.clients)).toEqual(new Set(['client']))
    expect(await refused()).toMatchObject({ code: 'REGISTRY_UNREACHABLE' })
    expect(storage.clients).toEqual([])
  })

  test("docker's layout of certificates is read where there is no hosts.toml", async () => {
    const front = await secure({ clientsOf: 'client.crt' })
    const directory = front.host.replace(/:(.*)$/, '_$1_')
    mkdirSync(join(root, directory))
    writeFileSync(join(root, directory, 'ca.crt'), pem('server.crt'))
    writeFileSync(join(root, directory, 'me.cert'), pem('client.crt'))
    writeFileSync(join(root, directory, 'me.key'), pem('client.key'))
    // 127.0.0.1 is plain HTTP by itself; with settings for TLS it is asked over TLS first, as containerd does.
    expect(await pull(`${front.host}/team/app:1`)).toEqual([])
    expect(new Set(front.clients)).toEqual(new Set(['client']))
  })

  test('a host of http with settings for TLS is asked over http where it speaks no TLS', async () => {
    const front = await plain()
    writeHosts(REGISTRY, `server = "http://${front.host}"\nskip_verify = true\n`)
    expect(await pull()).toEqual([])
  })

  test('skip_verify does not hold where an account is shown to another host', async () => {
    const tokens = await secure({ handler: (_, response) => void response.end('{"token":"t"}') })
    const front = await plain((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="https://${tokens.host}/token"` }).end()
    })
    writeHosts(REGISTRY, `server = "http://${front.host}"\nskip_verify = true\n`)
    const auth = Buffer.from('me:secret').toString('base64')
    writeFileSync(join(root, 'config.json'), JSON.stringify({ auths: { [front.host]: { auth } } }))
    expect(await refused()).toMatchObject({ code: 'REGISTRY_UNREACHABLE' })
    expect(tokens.seen).toEqual([])
  })
})

test.each([
  ['version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/a:/b"\n', ['/a', '/b']],
  ['version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/c"\n', ['/c']],
  ['[plugins.cri.registry]\nconfig_path = "/d"\n', ['/d']],
  ['version = 3\n', ['/etc/containerd/certs.d', '/etc/docker/certs.d']],
])("containerd's configuration %j says where hosts.toml files are", (text, due) => {
  const path = join(root, 'config.toml')
  writeFileSync(path, text)
  expect(hostRoots(path)).toEqual(due)
  expect(hostRoots(join(root, 'absent.toml'))).toEqual(['/etc/containerd/certs.d', '/etc/docker/certs.d'])
})

test('files are merged as the daemon of this version merges them', () => {
  const path = join(root, 'config.toml')
  const more = join(root, 'more.toml')
  writeFileSync(
    path,
    `version = 2\nimports = ["${more}"]\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/a"\n`,
  )
  writeFileSync(more, 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "pause"\n')
  expect(hostRoots(path, { major: 2, minor: 3, patch: 0 })).toEqual(['/a'])
  // containerd 1 replaces a plugin's section whole.
  expect(hostRoots(path, { major: 1, minor: 7, patch: 0 })).toEqual(['/etc/containerd/certs.d', '/etc/docker/certs.d'])
})
