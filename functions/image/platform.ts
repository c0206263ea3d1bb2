/** Platforms, spelt, parsed, matched and ranked as in containerd's module `platforms`. */
import { LayercastError } from '../errors.ts'
import type { Field } from './fields.ts'
import { quote } from './quote.ts'

/** A platform (image-spec 1.1, "Image Index": `platform`). */
export interface Platform {
  os: string
  architecture: string
  variant?: string
  'os.version'?: string
  'os.features'?: string[]
}

const ARCHITECTURES: readonly string[] = (
  '386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le ' +
  'mips64p32 mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm'
).split(' ')

/**
 * The platform in the spelling that containerd compares: lower case, `x86_64` as amd64, `aarch64` and arm64/v8 as
 * arm64, `armhf` as arm/v7, `armel` as arm/v6, arm alone as arm/v7, `macos` as darwin, and linux where there is no os.
 */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os === '' ? 'linux' : platform.os.toLowerCase()
  const [architecture, variant] = normalizeArchitecture(platform.architecture, platform.variant ?? '')
  const version = platform['os.version']
  const features = [...new Set(platform['os.features'])].sort()
  return {
    os: os === 'macos' ? 'darwin' : os,
    architecture,
    ...(variant !== '' && { variant }),
    ...(version !== undefined && version !== '' && { 'os.version': version }),
    ...(features.length > 0 && { 'os.features': features }),
  }
}

/** An operating system as containerd/platforms spells it: `os`, `os(version)`, `os(+feature+feature)`, or both. */
const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/

/**
 * Parses `os[(version+feature…)]/architecture[/variant]`, or an architecture alone, which is for linux: `linux/arm/v7`,
 * `linux(+erofs)/amd64`, `windows(10.0.17763)/amd64`. There is no default architecture, unlike in containerd: the same text
 * means the same on every machine. PLATFORM_INVALID says what is wrong.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  if (parts.length > 3) refuse(text, 'it has more than three parts')
  const [first = '', ...rest] = parts.length === 1 ? ['linux', ...parts] : parts
  const [, os, version = '', features = ''] = OS.exec(first) ?? []
  if (os === undefined) refuse(text, `${quote(first)} is no operating system`)
  const bad = rest.find((part) => !/^[A-Za-z0-9_.-]+$/.test(part))
  if (bad !== undefined) refuse(text, `${quote(bad)} is no name`)
  const [architecture = '', variant = ''] = rest
  const platform = normalizePlatform({
    os,
    architecture,
    variant,
    'os.version': decode(text, version),
    'os.features': features
      .split('+')
      .map((feature) => decode(text, feature))
      .filter((feature) => feature !== ''),
  })
  if (parts.length === 1 && !ARCHITECTURES.includes(platform.architecture)) {
    refuse(text, `${quote(text)} is not an architecture`)
  }
  return platform
}

/** The platform as people write it and `parsePlatform` reads it: `linux/arm/v7`, `linux(+erofs)/amd64`. */
export function formatPlatform(platform: Platform): string {
  const { architecture, variant } = platform
  const version = encode(platform['os.version'] ?? '')
  const features = (platform['os.features'] ?? []).map((feature) => `+${encode(feature)}`).join('')
  const os = platform.os === '' ? 'unknown' : platform.os
  return [
    version + features === '' ? os : `${os}(${version}${features})`,
    architecture === '' ? 'unknown' : architecture,
    variant ?? '',
  ]
    .filter((part) => part !== '')
    .join('/')
}

/**
 * The platform with the OS features that a snapshotter prefers: containerd's erofs snapshotter takes an image for the feature
 * `erofs` before any other. A platform that names features stays as it is.
 */
export function preferFeatures(platform: Platform, features: readonly string[]): Platform {
  return platform['os.features'] === undefined && features.length > 0
    ? normalizePlatform({ ...platform, 'os.features': [...features] })
    : platform
}

/** Whether an image for `offered` runs on `wanted`, by containerd's rules. */
export function matchPlatform(wanted: Platform, offered: Platform): boolean {
  return platformRank(wanted, offered) !== undefined
}

/**
 * How well an image for `offered` suits `wanted`: 0 is best, undefined is not at all. An amd64 machine runs lower variants and
 * then 386; arm runs variants down to v5; arm64 runs variants down to v8, and then 32-bit arm from v8 to v5.
 */
export function platformRank(wanted: Platform, offered: Platform): number | undefined {
  const due = normalizePlatform(wanted)
  const found = normalizePlatform(offered)
  if (found.os !== due.os || !featuresWithin(found, due) || !versionFits(found, due)) return undefined
  const rank = fallbacks(due).indexOf(key(found.architecture, found.variant))
  return rank < 0 ? undefined : rank
}

/** Reads a platform out of a document; the document's own code names a wrong field by its path. */
export function readPlatform(field: Field): Platform {
  field.exactly('os', 'architecture', 'variant', 'os.version', 'os.features')
  const variant = field.get('variant').optionalString()
  const version = field.get('os.version').optionalString()
  const features = field.get('os.features').items()
  return {
    os: field.get('os').optionalString() ?? '',
    architecture: field.get('architecture').optionalString() ?? '',
    ...(variant !== undefined && { variant }),
    ...(version !== undefined && { 'os.version': version }),
    ...(features.length > 0 && { 'os.features': features.map((feature) => feature.string()) }),
  }
}

function normalizeArchitecture(architecture: string, variant: string): [architecture: string, variant: string] {
  const lower = variant.toLowerCase()
  const name = architecture.toLowerCase()
  switch (name) {
    case 'i386':
      return ['386', '']
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return ['amd64', lower === 'v1' ? '' : lower]
    case 'aarch64':
    case 'arm64':
      if (['8', 'v8', 'v8.0'].includes(lower)) return ['arm64', '']
      return ['arm64', ['9', '9.0', 'v9.0'].includes(lower) ? 'v9' : lower]
    case 'armhf':
      return ['arm', 'v7']
    case 'armel':
      return ['arm', 'v6']
    case 'arm':
      if (lower === '') return ['arm', 'v7']
      return ['arm', /^[5-8]$/.test(lower) ? `v${lower}` : lower]
    default:
      return [name, lower]
  }
}

/** The architectures that run on a normalised platform, best first, each in its normalised spelling. */
function fallbacks({ architecture, variant = '' }: Platform): string[] {
  const keys = [key(architecture, variant)]
  if (architecture === 'amd64') {
    for (let version = variantNumber(variant) - 1; version >= 1; version--) keys.push(amd64Key(version))
    keys.push('386')
  } else if (architecture === 'arm') {
    keys.push(...lowerArm(variant))
  } else if (architecture === 'arm64') {
    keys.push(...lowerArm64(variant))
  }
  return keys
}

function amd64Key(version: number): string {
  return key('amd64', version === 1 ? '' : `v${version}`)
}

function lowerArm(variant: string): string[] {
  const keys: string[] = []
  for (let version = variantNumber(variant) - 1; version >= 5; version--) keys.push(key('arm', `v${version}`))
  return keys
}

function lowerArm64(variant: string): string[] {
  const match = /^v([89])(?:\.([0-9]))?$/.exec(variant === '' ? 'v8' : variant)
  const keys: string[] = []
  if (match !== null) {
    let minor = Number(match[2] ?? 0)
    if (match[1] === '9') {
      for (let lower = minor - 1; lower >= 0; lower--) keys.push(key('arm64', lower === 0 ? 'v9' : `v9.${lower}`))
      // Arm v9.0 is based on v8.5, so v9.x runs what v8.(x+5) runs.
      minor += 5
      keys.push(key('arm64', `v8.${minor}`))
    }
    for (let lower = minor - 1; lower >= 0; lower--) keys.push(key('arm64', lower === 0 ? '' : `v8.${lower}`))
  }
  const arm = match === null ? variant : 'v8'
  return [...keys, key('arm', arm), ...lowerArm(arm)]
}

function key(architecture: string, variant: string | undefined): string {
  return variant === undefined || variant === '' ? architecture : `${architecture}/${variant}`
}

function variantNumber(variant: string): number {
  const match = /^v?([0-9]{1,2})$/.exec(variant)
  return match === null ? 0 : Number(match[1])
}

function featuresWithin(offered: Platform, wanted: Platform): boolean {
  return (offered['os.features'] ?? []).every(
    // As in containerd, which ignores Windows' only feature.
    (feature) => wanted['os.features']?.includes(feature) || (offered.os === 'windows' && feature === 'win32k'),
  )
}

/** Windows runs containers of its own build only; nowhere else does the version count. */
function versionFits(offered: Platform, wanted: Platform): boolean {
  const due = wanted['os.version']
  const found = offered['os.version']
  if (wanted.os !== 'windows' || due === undefined || found === undefined) return true
  return due.split('.').slice(0, 3).join('.') === found.split('.').slice(0, 3).join('.')
}

/** Escapes the characters of a version or feature that have a meaning within the parentheses. */
function encode(text: string): string {
  return text.replace(/[%+()/]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decode(text: string, option: string): string {
  try {
    return decodeURIComponent(option)
  } catch {
    return refuse(text, `${quote(option)} has a "%" that no two hexadecimal digits of UTF-8 follow`)
  }
}

function refuse(text: string, problem: string): never {
  throw new LayercastError('PLATFORM_INVALID', `the platform ${quote(text)} cannot be read: ${problem}`, {
    fix: 'Write it as os[(version+feature)]/architecture[/variant], such as linux/amd64, linux/arm/v7 or linux(+erofs)/amd64.',
    detail: { platform: text.slice(0, 256) },
  })
}
