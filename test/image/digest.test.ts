import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digestAlgorithm, digestBytes, isDigest, parseDigest, verifyBytes } from '../../functions/image/digest.ts'
import { utf8 } from './bytes.ts'
import { thrown } from './thrown.ts'

const ALGORITHMS = ['sha256', 'sha384', 'sha512'] as const
const LENGTH = { sha256: 64, sha384: 96, sha512: 128 }

describe('digestBytes', () => {
  test('gives the digests of FIPS 180-4 for "abc"', () => {
    expect(digestBytes(utf8('abc'))).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(digestBytes(utf8('abc'), 'sha384')).toBe(
      'sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7',
    )
    expect(digestBytes(utf8('abc'), 'sha512')).toBe(
      'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
        '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    )
  })

  test.each(ALGORITHMS)('%s is what OpenSSL says, over any bytes', (algorithm) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const hash = createHash(algorithm).update(bytes).digest('hex')
        expect(digestBytes(bytes, algorithm)).toBe(`${algorithm}:${hash}`)
      }),
    )
  })
})

describe('parseDigest', () => {
  test.each(ALGORITHMS)('takes %s', (algorithm) => {
    const text = `${algorithm}:${'0a'.repeat(LENGTH[algorithm] / 2)}`
    expect(parseDigest(text)).toBe(text)
    expect(digestAlgorithm(parseDigest(text))).toBe(algorithm)
    expect(isDigest(text)).toBe(true)
  })

  test.each([
    ['', 'algorithm'],
    ['sha256', 'algorithm'],
    [`${'a'.repeat(64)}`, 'algorithm'],
    [`md5:${'a'.repeat(32)}`, 'none of'],
    [`constructor:${'a'.repeat(64)}`, 'none of'],
    [`SHA256:${'a'.repeat(64)}`, 'none of'],
    [`sha256:${'a'.repeat(63)}`, '63'],
    [`sha256:${'a'.repeat(65)}`, '65'],
    [`sha512:${'a'.repeat(64)}`, '128'],
    [`sha256:${'A'.repeat(64)}`, 'lower-case'],
    [`sha256:${'g'.repeat(64)}`, 'lower-case'],
    [`sha256:${'a'.repeat(63)}\n`, 'lower-case'],
    [`sha256:../../../${'a'.repeat(55)}`, 'lower-case'],
  ])('refuses %j', (text, why) => {
    const error = thrown(() => parseDigest(text, 'layers[2].digest'))
    expect(error.code).toBe('DIGEST_INVALID')
    expect(error.message).toContain('layers[2].digest')
    expect(error.message).toContain(why)
    expect(isDigest(text)).toBe(false)
  })
})

test('verifyBytes takes the right bytes under any algorithm and refuses one changed bit', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.constantFrom(...ALGORITHMS),
      fc.nat(),
      (bytes, algorithm, at) => {
        const digest = digestBytes(bytes, algorithm)
        verifyBytes(bytes, digest)
        const other = bytes.slice()
        other[at % bytes.length]! ^= 1
        const error = thrown(() => verifyBytes(other, digest, 'config'))
        expect(error.code).toBe('DIGEST_MISMATCH')
        expect(error.exit).toBe(5)
        expect(error.detail).toMatchObject({ expected: digest, size: bytes.length })
      },
    ),
  )
})
