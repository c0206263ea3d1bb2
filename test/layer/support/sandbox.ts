/** A directory of its own for each test, and the applier over plain directories in it. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { createApplier } from '../../../functions/layer/apply/applier.ts'
import type { ApplierOptions } from '../../../functions/layer/apply/applier.ts'
import type { Applied, ApplyOptions } from '../../../functions/layer/apply/types.ts'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import { detachAll } from '../../../functions/linux/mount.ts'
import { walk } from '../../../functions/linux/walk.ts'
import type { WalkEntry } from '../../../functions/linux/walk.ts'
import type { TarEntry } from '../../support/images/entries.ts'
import { describe as describeBytes, MEDIA_TYPES } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'

export interface Sandbox {
  readonly directory: string
  /** Makes a directory below, and gives its path. */
  make(name: string): string
  /** Applies a layer to a directory; gives what the applier answers. */
  apply(
    target: string | readonly Mount[],
    layer: readonly TarEntry[] | Uint8Array,
    options?: Partial<ApplierOptions> & ApplyOptions & { mediaType?: string; descriptor?: Partial<Descriptor> },
  ): Promise<Applied>
}

export const bindTo = (source: string): Mount => ({ type: 'bind', source, target: '', options: ['rbind', 'rw'] })

export function overlayOf(lowers: readonly string[], upper: string, work: string): Mount {
  const options = ['index=off', `lowerdir=${lowers.join(':')}`, `upperdir=${upper}`, `workdir=${work}`]
  return { type: 'overlay', source: 'overlay', target: '', options }
}

/** To be called once in a file: `sandbox.directory` is new for each test, and gone after it with its mounts. */
export function useSandbox(): Sandbox {
  let directory = ''
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'layercast-apply-')))
    mkdirSync(join(directory, 'mounts'), { mode: 0o700 })
  })
  afterEach(() => {
    for (const point of mountsBelow(directory).toReversed()) detachAll(point)
    rmSync(directory, { recursive: true })
  })
  return {
    get directory() {
      return directory
    },
    make(name) {
      const path = join(directory, name)
      mkdirSync(path, { recursive: true })
      return path
    },
    apply(target, layer, { mediaType, descriptor, signal, onProgress, onIgnored, ...options } = {}) {
      const bytes = layer instanceof Uint8Array ? layer : writeTar(layer)
      const applier = createApplier({
        read: () => chunksOf(bytes),
        sync: false,
        directory: join(directory, 'mounts'),
        ...options,
      })
      return applier.apply(
        { ...describeBytes(bytes, mediaType ?? MEDIA_TYPES.oci.layer.none), ...descriptor },
        typeof target === 'string' ? [bindTo(target)] : target,
        {
          ...(signal === undefined ? {} : { signal }),
          ...(onProgress === undefined ? {} : { onProgress }),
          ...(onIgnored === undefined ? {} : { onIgnored }),
        },
      )
    },
  }
}

export function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
}

/** The bytes in chunks of a size. */
export async function* chunksOf(bytes: Uint8Array, size = 1 << 16): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export interface Listed extends Partial<WalkEntry> {
  /** The first name of those that are one file. */
  group?: string
}

export type Listing = Record<string, Listed>

/** What a tree holds, in a form to compare: without the root, without what any two copies differ in. */
export function list(directory: string, options: { times?: boolean } = {}): Listing {
  const listing: Listing = {}
  const names = new Map<string, string[]>()
  for (const entry of walk(directory, { contents: true })) {
    if (entry.path === '') continue
    const { path, inode, device, links, atime: _, mtime, size, ...rest } = entry
    const key = `${device}/${inode}`
    if (entry.kind !== 'directory' && links > 1) names.set(key, [...(names.get(key) ?? []), path])
    listing[path] = {
      ...rest,
      ...(entry.kind === 'directory' ? {} : { size }),
      ...(options.times === false ? {} : { mtime }),
    }
  }
  for (const group of names.values()) {
    if (group.length > 1) for (const path of group) listing[path] = { ...listing[path], group: group[0] ?? path }
  }
  return listing
}
