import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatPlatform,
  matchPlatform,
  normalizePlatform,
  parsePlatform,
  platformRank,
} from '../../functions/image/platform.ts'
import { thrown, tolerated } from './thrown.ts'

/** A platform as an index or config would have it, not normalised. */
function raw(text: string) {
  const [os = '', architecture = '', variant] = text.split('/')
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

describe('normalizePlatform', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['Linux/AMD64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/V2', 'linux/amd64/v2'],
    ['linux/i386', 'linux/386'],
    ['linux/i386/v7', 'linux/386'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/arm/v5', 'linux/arm/v5'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['macos/arm64', 'darwin/arm64'],
    ['/riscv64', 'linux/riscv64'],
    ['linux/s390x', 'linux/s390x'],
  ])('%s is %s', (text, normal) => {
    expect(formatPlatform(normalizePlatform(raw(text)))).toBe(normal)
  })

  test('twice is once, and features are a sorted set', () => {
    const platform = fc.record({
      os: fc.constantFrom('', 'linux', 'macos', 'Windows'),
      architecture: fc.constantFrom('amd64', 'x86_64', 'arm', 'armhf', 'armel', 'aarch64', 'i386', 'MIPS', ''),
      variant: fc.constantFrom('', '7', 'v8', 'V1', 'v9.2', '8'),
      'os.features': fc.array(fc.constantFrom('b', 'a', 'c')),
    })
    fc.assert(
      fc.property(platform, (value) => {
        const once = normalizePlatform(value)
        expect(normalizePlatform(once)).toEqual(once)
        expect(once['os.features'] ?? []).toEqual([...new Set(value['os.features'])].sort())
      }),
    )
  })
})

describe('parsePlatform', () => {
  test.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
    ['amd64', { os: 'linux', architecture: 'amd64' }],
    ['aarch64', { os: 'linux', architecture: 'arm64' }],
    ['armhf', { os: 'linux', architecture: 'arm', variant: 'v7' }],
    ['linux/arm/v6', { os: 'linux', architecture: 'arm', variant: 'v6' }],
    ['windows/amd64', { os: 'windows', architecture: 'amd64' }],
  ])('%s', (text, platform) => expect(parsePlatform(text)).toEqual(platform))

  test.each(['', 'linux', 'nonsense', 'linux/', '/amd64', 'linux/*', 'a/b/c/d', 'linux/amd 64', 'linux/amd64/'])(
    'refuses %j',
    (text) => {
      const error = thrown(() => parsePlatform(text))
      expect(error.code).toBe('PLATFORM_INVALID')
      expect(error.fix).toContain('linux/amd64')
    },
  )

  test('refuses nothing with another error', () => {
    fc.assert(fc.property(fc.string(), (text) => void expect(tolerated(() => parsePlatform(text))).toBeDefined()))
  })
})

describe('matching', () => {
  test.each<[string, string[], string[]]>([
    ['linux/amd64', ['linux/amd64', 'linux/386'], ['linux/amd64/v2', 'linux/arm64', 'windows/amd64', 'linux/arm']],
    ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64/v1', 'linux/386'], ['linux/amd64/v4']],
    ['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5'], ['linux/arm/v8', 'linux/arm64']],
    ['linux/arm', ['linux/arm/v7', 'linux/armel', 'linux/arm/v5'], ['linux/arm/v8']],
    ['linux/arm/v5', ['linux/arm/v5'], ['linux/arm/v6']],
    [
      'linux/arm64',
      ['linux/arm64/v8', 'linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5'],
      ['linux/arm64/v9', 'linux/arm64/v8.1', 'linux/amd64'],
    ],
    [
      'linux/arm64/v9.1',
      ['linux/arm64/v9.1', 'linux/arm64/v9', 'linux/arm64/v8.6', 'linux/arm64/v8.1', 'linux/arm64', 'linux/arm/v8'],
      ['linux/arm64/v9.2', 'linux/arm64/v8.7'],
    ],
    ['linux/s390x', ['linux/s390x'], ['linux/s390']],
  ])('%s takes lower ones in order', (wanted, takes, refuses) => {
    const ranks = takes.map((offered) => platformRank(raw(wanted), raw(offered)))
    expect(ranks).not.toContain(undefined)
    expect(ranks).toEqual([...ranks].sort((a, b) => Number(a) - Number(b)))
    expect(new Set(ranks).size).toBe(takes.length)
    expect(refuses.filter((offered) => matchPlatform(raw(wanted), raw(offered)))).toEqual([])
  })

  test('features must be a subset, and the build counts on Windows', () => {
    const linux = { os: 'linux', architecture: 'amd64' }
    expect(matchPlatform(linux, { ...linux, 'os.features': ['x'] })).toBe(false)
    expect(matchPlatform({ ...linux, 'os.features': ['y', 'x'] }, { ...linux, 'os.features': ['x'] })).toBe(true)
    expect(matchPlatform({ ...linux, 'os.version': '1' }, { ...linux, 'os.version': '2' })).toBe(true)
    const windows = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1' }
    expect(matchPlatform(windows, { ...windows, 'os.version': '10.0.17763.99' })).toBe(true)
    expect(matchPlatform(windows, { ...windows, 'os.version': '10.0.20348.1' })).toBe(false)
  })

  test('every platform suits itself best', () => {
    const os = fc.constantFrom('linux', 'windows', 'darwin')
    const architecture = fc.constantFrom('amd64', 'arm64', 'arm', '386', 'riscv64')
    const variant = fc.constantFrom('', 'v1', 'v5', 'v8', 'v9.4', 'odd')
    fc.assert(
      fc.property(os, architecture, variant, (...[system, machine, version]) => {
        const platform = { os: system, architecture: machine, variant: version }
        expect(platformRank(platform, platform)).toBe(0)
      }),
    )
  })
})
