/**
 * What a list of mounts means without being mounted: which directory its files lie in, and which one takes what is written.
 * Whoever needs to know asks here, so that the applier, the unpacker and the verifier read a snapshotter's answer alike.
 */
import type { Mount } from './mount-list.ts'
import {
  lowerDirectories,
  MS_BIND,
  MS_RDONLY,
  optionValue,
  overlayDirectory,
  parseMountOptions,
} from './mount-options.ts'

/** A type by itself, or behind the prefixes that mount-manager.ts resolves. */
const KNOWN_TYPE = /^(?:(?:format|mkdir)\/)*[a-z0-9]+$/u
/** Options for containerd's mount manager begin with this. */
const MANAGED_OPTION = 'X-containerd.'

/** A writable bind mount that is the whole list. */
export interface SoleBind {
  /** The directory that it shows, absolute. */
  source: string
  /** Whether writing to the source is the same as writing through the mount: no further option, such as an ID map, is between. */
  plain: boolean
}

/** The bind mount where the list is one, writable, at its root; undefined for every other list. */
export function soleBind(mounts: readonly Mount[]): SoleBind | undefined {
  const [mount, ...more] = mounts
  if (mount === undefined || more.length > 0 || mount.target !== '' || !mount.source.startsWith('/')) return undefined
  if (mount.type.includes('/') || !isMadeHere(mount)) return undefined
  const { flags, data, loop } = parseMountOptions(mount.options)
  if ((flags & MS_BIND) === 0 || (flags & MS_RDONLY) !== 0 || loop) return undefined
  return { source: mount.source, plain: data.length === 0 }
}

/**
 * The upperdir of an overlay without lower directories, where the list is that alone. It cannot be mounted: appliers take it to
 * mean that the layer goes into this directory by itself, with whiteouts as overlayfs keeps them (containerd's `rebase`).
 * The path is not escaped: the kernel never reads this option, and containerd takes it as it stands.
 */
export function bareUpperdir(mounts: readonly Mount[]): string | undefined {
  const [mount, ...more] = mounts
  if (mount?.type !== 'overlay' || more.length > 0) return undefined
  return optionValue(mount.options, 'lowerdir') === undefined ? optionValue(mount.options, 'upperdir') : undefined
}

/** The bind mount of a snapshot without a parent as the list that `bareUpperdir` knows, with its other options kept. */
export function asBareUpperdir(upperdir: string, mounts: readonly Mount[]): Mount[] {
  const options = mounts.flatMap((mount) => mount.options).filter((option) => option !== 'bind' && option !== 'rbind')
  return [{ type: 'overlay', source: 'overlay', target: '', options: [...options, `upperdir=${upperdir}`] }]
}

/** Whether layercast makes the mount with nothing but the kernel: no helper program and no mount manager of containerd's. */
export function isMadeHere({ type, options }: Mount): boolean {
  if (!KNOWN_TYPE.test(type) || type.startsWith('fuse')) return false
  return !options.some((option) => option.startsWith(MANAGED_OPTION))
}

/** Where in the file systems of this machine the content of one mount lies; templates of managed lists are left out. */
export function placesOf({ source, options }: Mount): string[] {
  const directories = (['upperdir', 'workdir'] as const).map((name) => overlayDirectory(options, name) ?? '')
  return [source, ...directories, ...lowerDirectories(options)].filter(isPath)
}

/** The directory that what is written to one mount goes to; undefined where it is written to no directory of this machine's. */
export function writtenDirectory({ type, source, options }: Mount): string | undefined {
  const written = type === 'bind' && !options.includes('ro') ? source : overlayDirectory(options, 'upperdir')
  return written !== undefined && isPath(written) ? written : undefined
}

/** The directories that an overlay or a bind mount shows, topmost first; none where the list is anything else. */
export function shownDirectories(mounts: readonly Mount[]): string[] {
  const [mount, ...more] = mounts
  if (mount === undefined || more.length > 0) return []
  if (mount.type === 'overlay') return lowerDirectories(mount.options)
  return mount.type === 'bind' ? [mount.source] : []
}

/** Templates stand for mounts that come before, and other names are no paths, such as `overlay`. */
function isPath(name: string): boolean {
  return name.startsWith('/') && !name.includes('{{')
}
