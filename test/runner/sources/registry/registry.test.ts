import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { dir, file } from '../../../support/images/entries.ts'
import { buildImage, digestOf } from '../../../support/images/image.ts'
import { passOn, startFront, type Front, type Handler } from '../support/http-front.ts'
import { ACCOUNT, push, registryProgram, startRegistry, type Peer } from '../support/registry-daemon.ts'
import { differences, failure, openFailure, readAll, withSource } from '../support/sources.ts'

const image = buildImage({
  layers: [[dir('etc'), file('etc/big', randomBytes(1_500_000))], [file('etc/two', '2')]],
  compression: ['none', 'gzip'],
})
const [big] = image.layers
if (big === undefined) throw new Error('no layer')

// Neither the account of whoever runs the tests nor a proxy comes into play.
let config = ''
let before: string | undefined
beforeEach(() => {
  before = process.env['DOCKER_CONFIG']
  config = mkdtempSync(join(tmpdir(), 'layercast-docker-config-'))
  process.env['DOCKER_CONFIG'] = config
})
const fronts: Front[] = []
afterEach(async () => {
  if (before === undefined) delete process.env['DOCKER_CONFIG']
  else process.env['DOCKER_CONFIG'] = before
  rmSync(config, { recursive: true, force: true })
  for (const front of fronts.splice(0)) await front.close()
})
const writeConfig = (value: unknown): void => writeFileSync(join(config, 'config.json'), JSON.stringify(value))
const basic = (name: string, password: string): string => Buffer.from(`${name}:${password}`).toString('base64')
const front = async (handler: Handler): Promise<Front> => {
  const started = await startFront(handler)
  fronts.push(started)
  return started
}

describe.skipIf(registryProgram === undefined)(
  'a registry (docker-registry; skipped where it is not installed)',
  () => {
    let peer: Peer
    beforeAll(async () => {
      peer = await startRegistry()
      await push(peer.host, image, 'team/app', '1')
    })
    afterAll(() => peer.close())

    test('gives an image by tag and by digest, whole and in parts', async () => {
      for (const name of [`${peer.host}/team/app:1`, `${peer.host}/team/app@${image.manifest.digest}`]) {
        await withSource(`docker://${name}`, async (source) => {
          expect(source.reference).toBe(name)
          expect(source.target).toEqual(image.manifest)
          expect(await differences(source, image)).toEqual([])
        })
      }
    })

    test('says what it has not: an image, a tag, a blob', async () => {
      for (const name of ['team/none:1', 'team/app:2', `team/app@${digestOf('x')}`]) {
        expect(await openFailure(`docker://${peer.host}/${name}`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
      }
      await withSource(`docker://${peer.host}/team/app:1`, async (source) => {
        const absent = { ...big, digest: digestOf('absent') }
        expect(await failure(readAll(source, absent))).toMatchObject({ code: 'BLOB_NOT_FOUND' })
      })
    })

    test('that breaks off again and again is read on from where it was', async () => {
      const { host, seen } = await front((request, response) =>
        passOn(peer.host, request, response, request.url?.includes(big.digest) ? { breakAfter: 400_000 } : {}),
      )
      await withSource(`docker://${host}/team/app:1`, async (source) => {
        expect(digestOf(await readAll(source, big))).toBe(big.digest)
        const part = await readAll(source, big, { offset: 100, length: 1_000_000 })
        expect(part.equals(image.blobs.get(big.digest)?.subarray(100, 1_000_100) ?? new Uint8Array())).toBe(true)
      })
      expect(seen.filter((one) => one.range !== undefined).length).toBeGreaterThanOrEqual(5)
    }, 30_000)

    test('that breaks off and knows no ranges is read anew, and nothing comes twice', async () => {
      let breaks = 2
      const { host } = await front((request, response) =>
        passOn(peer.host, request, response, {
          dropRange: true,
          ...(request.url?.includes(big.digest) && breaks-- > 0 ? { breakAfter: 400_000 } : {}),
        }),
      )
      await withSource(`docker://${host}/team/app:1`, async (source) => {
        expect(digestOf(await readAll(source, big))).toBe(big.digest)
      })
    }, 30_000)

    test('that never gives a byte is given up', async () => {
      const { host, seen } = await front((request, response) =>
        request.url?.includes(big.digest) ? void response.destroy() : passOn(peer.host, request, response),
      )
      await withSource(`docker://${host}/team/app:1`, async (source) => {
        expect(await failure(readAll(source, big))).toMatchObject({ code: 'REGISTRY_UNREACHABLE' })
      })
      expect(seen.length).toBeLessThan(50)
    }, 60_000)

    test('that is busy is asked again', async () => {
      let busy = 2
      const { host } = await front((request, response) =>
        busy-- > 0 ? void response.writeHead(503, { 'retry-after': '0' }).end() : passOn(peer.host, request, response),
      )
      await withSource(`docker://${host}/team/app:1`, async (source) =>
        expect(await differences(source, image)).toEqual([]),
      )
    })

    describe('with tokens', () => {
      /** Answers as a registry with a token server would, and shows who asked for what. */
      const guarded = (check: (url: URL, authorization: string | undefined, body: URLSearchParams) => boolean) =>
        front(async (request, response, seen) => {
          const url = new URL(seen.url, `http://${request.headers.host}`)
          if (url.pathname === '/token') {
            const body = new URLSearchParams(await new Response(request as never).text())
            if (check(url, seen.authorization, body)) response.end(JSON.stringify({ access_token: 'good' }))
            else response.writeHead(401).end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'who?' }] }))
          } else if (seen.authorization === 'Bearer good') await passOn(peer.host, request, response)
          else {
            const scope = 'repository:team/app:pull'
            const realm = `http://${request.headers.host}/token`
            response
              .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="svc",scope="${scope}"` })
              .end()
          }
        })

      test('is asked for one without an account, once', async () => {
        const { host, seen } = await guarded(
          (url, authorization) =>
            authorization === undefined &&
            url.searchParams.get('service') === 'svc' &&
            url.searchParams.get('scope') === 'repository:team/app:pull',
        )
        await withSource(`docker://${host}/team/app:1`, async (source) => {
          await Promise.all([differences(source, image), differences(source, image)])
        })
        expect(seen.filter((one) => one.url.startsWith('/token'))).toHaveLength(1)
      })

      test('is given the account of config.json', async () => {
        const { host } = await guarded((_, authorization) => authorization === `Basic ${basic('me', 'pass:word')}`)
        expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
        for (const entry of [{ auth: basic('me', 'pass:word') }, { username: 'me', password: 'pass:word' }]) {
          for (const key of [host, `https://${host}/v1/`]) {
            writeConfig({ auths: { 'example.com': { auth: 'bad' }, [key]: entry } })
            await withSource(`docker://${host}/team/app:1`, async (source) =>
              expect(await differences(source, image)).toEqual([]),
            )
          }
        }
      })

      test('is given an identity token by POST', async () => {
        const { host } = await guarded(
          (_, authorization, body) =>
            authorization === undefined &&
            body.get('grant_type') === 'refresh_token' &&
            body.get('refresh_token') === 'idtoken' &&
            body.get('scope') === 'repository:team/app:pull',
        )
        writeConfig({ auths: { [host]: { auth: basic('me', ''), identitytoken: 'idtoken' } } })
        await withSource(`docker://${host}/team/app:1`, async (source) =>
          expect(await differences(source, image)).toEqual([]),
        )
      })

      test('asks a credential helper for the account', async () => {
        const { host } = await guarded((_, authorization) => authorization === `Basic ${basic('me', 'helped')}`)
        const helper = join(config, 'docker-credential-layercast-test')
        const answer = '{"ServerURL":"x","Username":"me","Secret":"helped"}'
        writeFileSync(helper, `#!/bin/sh\nread -r server\n[ "$server" = "${host}" ] && echo '${answer}' && exit\n`)
        chmodSync(helper, 0o755)
        const path = process.env['PATH']
        process.env['PATH'] = `${config}:${path}`
        try {
          writeConfig({ credHelpers: { [host]: 'layercast-test' } })
          await withSource(`docker://${host}/team/app:1`, async (source) =>
            expect(await differences(source, image)).toEqual([]),
          )
          writeConfig({ credHelpers: { [host]: 'layercast-absent' } })
          expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
          writeConfig({ credHelpers: { [host]: '../../evil' } })
          expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'SOURCE_INVALID' })
        } finally {
          process.env['PATH'] = path
        }
      })

      test('fetches another when the first has run out', async () => {
        let tokens = 0
        let uses = 0
        const { host } = await front(async (request, response, seen) => {
          if (seen.url.startsWith('/token')) {
            response.end(JSON.stringify({ token: `t${++tokens}` }))
            uses = 0
          } else if (seen.authorization === `Bearer t${tokens}` && uses++ < 3)
            await passOn(peer.host, request, response)
          else {
            const realm = `http://${request.headers.host}/token`
            response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end()
          }
        })
        await withSource(`docker://${host}/team/app:1`, async (source) =>
          expect(await differences(source, image)).toEqual([]),
        )
        expect(tokens).toBeGreaterThan(1)
      })
    })

    describe('with redirections', () => {
      test('does not show its authorization to another host', async () => {
        const storage = await front((request, response) => passOn(peer.host, request, response))
        const { host } = await front(async (request, response, seen) => {
          if (seen.authorization === undefined) {
            response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
          } else if (seen.url.includes('/blobs/')) {
            response.writeHead(307, { location: `http://${storage.host}${seen.url}` }).end()
          } else await passOn(peer.host, request, response)
        })
        writeConfig({ auths: { [host]: { auth: basic('me', 'secret') } } })
        await withSource(`docker://${host}/team/app:1`, async (source) =>
          expect(await differences(source, image)).toEqual([]),
        )
        expect(storage.seen.length).toBeGreaterThan(0)
        expect(storage.seen.map((one) => one.authorization)).toEqual(storage.seen.map(() => undefined))
      })

      test.each(['http://example.invalid/x', 'file:///etc/passwd', 'http://169.254.169.254/latest'])(
        'is not followed to %s',
        async (location) => {
          const { host } = await front((_, response) => void response.writeHead(302, { location }).end())
          expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
        },
      )

      test('is not followed for ever', async () => {
        const { host, seen } = await front(
          (_, response, one) => void response.writeHead(302, { location: one.url }).end(),
        )
        expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
        expect(seen.length).toBeLessThan(10)
      })
    })

    test('that lies about a blob is found out', async () => {
      const { host } = await front((request, response, seen) =>
        seen.url.includes('/blobs/') ? void response.end(Buffer.alloc(big.size)) : passOn(peer.host, request, response),
      )
      await withSource(`docker://${host}/team/app:1`, async (source) => {
        expect(await failure(readAll(source, big))).toMatchObject({ code: 'DIGEST_MISMATCH' })
      })
    })

    test('that sends more than the blob is cut off', async () => {
      const { host } = await front((request, response, seen) => {
        if (!seen.url.includes('/blobs/')) return passOn(peer.host, request, response)
        response.write(image.blobs.get(big.digest))
        for (let n = 0; n < 100; n++) response.write(Buffer.alloc(100_000))
      })
      await withSource(`docker://${host}/team/app:1`, async (source) => {
        expect(await failure(readAll(source, big))).toMatchObject({ code: 'DIGEST_MISMATCH' })
      })
    })

    test('that serves plain JSON is understood by the document', async () => {
      const { host } = await front((_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(image.manifestBytes)
      })
      await withSource(`docker://${host}/team/app:1`, async (source) => expect(source.target).toEqual(image.manifest))
    })

    test('that gives another manifest than the digest names is found out', async () => {
      const { host } = await front((_, response) => void response.end(image.manifestBytes))
      const name = `docker://${host}/team/app@${digestOf('another')}`
      expect(await openFailure(name)).toMatchObject({ code: 'DIGEST_MISMATCH' })
    })

    test('that sends a manifest without end is cut off', async () => {
      const { host } = await front((_, response) => {
        for (let n = 0; n < 100; n++) response.write(Buffer.alloc(100_000, 0x20))
      })
      expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'DOCUMENT_TOO_LARGE' })
    })

    test('with an account is entered with it', async () => {
      const closed = await startRegistry({ account: true })
      try {
        await push(closed.host, image, 'team/app', '1')
        const denied = await openFailure(`docker://${closed.host}/team/app:1`)
        expect(denied.code).toBe('REGISTRY_FAILED')
        expect(denied.fix).toContain('docker login')
        writeConfig({ auths: { [closed.host]: { auth: basic(ACCOUNT.username, 'wrong') } } })
        expect(await openFailure(`docker://${closed.host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
        writeConfig({ auths: { [closed.host]: { auth: basic(ACCOUNT.username, ACCOUNT.password) } } })
        await withSource(`docker://${closed.host}/team/app:1`, async (source) =>
          expect(await differences(source, image)).toEqual([]),
        )
      } finally {
        await closed.close()
      }
    })
  },
)

test('a registry that is not there is unreachable', async () => {
  const gone = await startFront(() => undefined)
  await gone.close()
  expect(await openFailure(`docker://${gone.host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_UNREACHABLE' })
})

test.each(['http://evil.example/token', 'ftp://127.0.0.1/token', 'not a url'])(
  'a token server at %s is not asked, least of all with an account',
  async (realm) => {
    const { host } = await front((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end()
    })
    writeConfig({ auths: { [host]: { auth: basic('me', 'secret') } } })
    expect(await openFailure(`docker://${host}/team/app:1`)).toMatchObject({ code: 'REGISTRY_FAILED' })
  },
)

test('a config.json that is damaged is named, and its secrets are not', async () => {
  const { host } = await front((_, response) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
  })
  writeConfig({ auths: { [host]: { auth: Buffer.from('hunter2').toString('base64') } } })
  const { code, message } = await openFailure(`docker://${host}/team/app:1`)
  expect([code, message]).toEqual(['SOURCE_INVALID', expect.stringContaining('config.json')])
  expect(message).not.toMatch(/hunter2|aHVudGVyMg/)
})

test.each(['', 'a/UPPER', 'name:', 'a b'])('the image name %j is refused', async (name) => {
  const { code } = await openFailure(`docker://${name}`)
  expect(['REFERENCE_INVALID', 'SOURCE_INVALID']).toContain(code)
})
