import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { normalizeReference, parseReference } from '../../functions/image/reference.ts'
import { thrown, tolerated } from './thrown.ts'

const SHA256 = `sha256:${'0123456789abcdef'.repeat(4)}`
const SHA512 = `sha512:${'0123456789abcdef'.repeat(8)}`

describe('normalizeReference', () => {
  test.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.29', 'docker.io/library/nginx:1.29'],
    ['library/nginx', 'docker.io/library/nginx:latest'],
    ['bitnami/nginx', 'docker.io/bitnami/nginx:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['docker.io/bitnami/nginx:1', 'docker.io/bitnami/nginx:1'],
    ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/bitnami/nginx', 'docker.io/bitnami/nginx:latest'],
    ['quay.io/app', 'quay.io/app:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['registry:5000/app:v1', 'registry:5000/app:v1'],
    ['127.0.0.1:5000/a/b/c', '127.0.0.1:5000/a/b/c:latest'],
    ['[2001:db8::1]:5000/app', '[2001:db8::1]:5000/app:latest'],
    ['[2001:db8::1]/app', '[2001:db8::1]/app:latest'],
    ['Registry/app', 'Registry/app:latest'],
    ['REGISTRY.example/app', 'REGISTRY.example/app:latest'],
    ['xn--n3h.com/app', 'xn--n3h.com/app:latest'],
    ['app:V1.0_rc-2', 'docker.io/library/app:V1.0_rc-2'],
    ['a__b/c--d/e.f_g', 'docker.io/a__b/c--d/e.f_g:latest'],
    [`app@${SHA256}`, `docker.io/library/app@${SHA256}`],
    [`app@${SHA512}`, `docker.io/library/app@${SHA512}`],
    [`app:tag@${SHA256}`, `docker.io/library/app@${SHA256}`],
    [`registry:5000/app:tag@${SHA256}`, `registry:5000/app@${SHA256}`],
    // A first part that cannot be a host is a path, as the grammar has it.
    ['a_b.c/app', 'a_b.c/app:latest'],
    // A name of 63 hexadecimal digits is one; so is one of 64 with a tag.
    ['a'.repeat(63), `docker.io/library/${'a'.repeat(63)}:latest`],
    [`${'a'.repeat(64)}:x`, `docker.io/library/${'a'.repeat(64)}:x`],
    // Without a slash, what follows the colon is a tag and no port.
    ['registry:5000', 'docker.io/library/registry:5000'],
    [`app:${'t'.repeat(128)}`, `docker.io/library/app:${'t'.repeat(128)}`],
    [`quay.io/${'a'.repeat(255)}`, `quay.io/${'a'.repeat(255)}:latest`],
  ])('%s', (text, normal) => {
    expect(normalizeReference(text)).toBe(normal)
  })

  test('a normal reference stays as it is', () => {
    const component = fc.stringMatching(/^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+){0,3}$/)
    const tag = fc.stringMatching(/^\w[\w.-]{0,127}$/)
    const suffix = fc.oneof(
      tag.map((text) => `:${text}`),
      fc.constant(`@${SHA256}`),
      fc.constant(''),
    )
    const domain = fc.constantFrom('', 'quay.io/', 'localhost:5000/', '[::1]:80/')
    fc.assert(
      fc.property(domain, fc.array(component, { minLength: 1, maxLength: 4 }), suffix, (host, path, end) => {
        fc.pre(path.join('/').length <= 200 && !/^[a-f0-9]{64}$/.test(path.join('/')))
        const normal = normalizeReference(`${host}${path.join('/')}${end}`)
        expect(normalizeReference(normal)).toBe(normal)
      }),
    )
  })
})

test('parseReference gives the parts and adds no tag', () => {
  expect(parseReference('nginx')).toEqual({ domain: 'docker.io', path: 'library/nginx' })
  expect(parseReference(`quay.io:443/a/b:t@${SHA256}`)).toEqual({
    domain: 'quay.io:443',
    path: 'a/b',
    tag: 't',
    digest: SHA256,
  })
})

describe('refuses', () => {
  test.each([
    ['', 'empty'],
    ['a'.repeat(64), '64 hexadecimal'],
    ['Nginx', 'upper-case'],
    ['docker.io/Nginx', 'upper-case'],
    ['quay.io/team/App:v1', 'upper-case'],
    [`quay.io/${'a'.repeat(256)}`, '256'],
    [`app:${'t'.repeat(129)}`, 'grammar'],
    ['app:', 'grammar'],
    ['app:-x', 'grammar'],
    [':tag', 'grammar'],
    ['/app', 'grammar'],
    ['app/', 'grammar'],
    ['a//b', 'grammar'],
    ['a___b', 'grammar'],
    ['-app', 'grammar'],
    ['app-', 'grammar'],
    ['app@', 'grammar'],
    ['app@sha256:abc', 'grammar'],
    [' app', 'grammar'],
    ['app\n', 'grammar'],
    ['app name', 'grammar'],
    ['https://quay.io/app', 'grammar'],
    ['quay.io:port/app', 'grammar'],
    ['[::1/app', 'grammar'],
    ['äpp', 'grammar'],
    [`${'a/'.repeat(3000)}a`, 'more than 4060'],
  ])('%j', (text, why) => {
    const error = thrown(() => normalizeReference(text))
    expect(error.code).toBe('REFERENCE_INVALID')
    expect(error.message).toContain(why)
  })

  test('a digest that is none', () => {
    expect(thrown(() => parseReference(`app@sha256:${'a'.repeat(63)}`)).code).toBe('DIGEST_INVALID')
    expect(thrown(() => parseReference(`app@sha256:${'A'.repeat(64)}`)).code).toBe('DIGEST_INVALID')
    expect(thrown(() => parseReference(`app@md5:${'a'.repeat(32)}`)).code).toBe('DIGEST_INVALID')
  })

  test('anything at all with an error of the family', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) => void expect(tolerated(() => normalizeReference(text))).toBeDefined(),
      ),
    )
    // A grammar that went back over these would not be done before the test's time is.
    expect(thrown(() => normalizeReference(`${'a-'.repeat(200_000)}!/x`)).code).toBe('REFERENCE_INVALID')
    expect(thrown(() => normalizeReference(`${'a'.repeat(400_000)}.!/x`)).code).toBe('REFERENCE_INVALID')
  })
})
