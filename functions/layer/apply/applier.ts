/** layercast's own applier: writes a layer into the file system that a snapshot's mounts describe. */
import { closeSync, readFileSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, openAt, syncFileSystem } from '../../linux/at.ts'
import { toByteString } from '../../linux/bytes.ts'
import { must } from '../../linux/libc.ts'
import { helperOf } from '../../linux/mount-helper.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { optionValue } from '../../linux/mount-options.ts'
import { withMounted } from '../../linux/mounted.ts'
import { bareUpperdir, soleBind, writtenDirectory } from '../../linux/plain-mounts.ts'
import { inUserNamespace } from '../../linux/user-namespace.ts'
import type { Limits } from '../read/guard.ts'
import { readLayer } from '../read/layer.ts'
import type { Applied, Applier, ApplyOptions } from './types.ts'
import type { WhiteoutForm } from './whiteouts.ts'
import { LayerWriter } from './writer.ts'

export interface ApplierOptions {
  /** The blob of a layer, in chunks. */
  read: (layer: Descriptor) => AsyncIterable<Uint8Array>
  limits?: Partial<Limits> | undefined
  /** Whether all is on the disk when `apply` answers; true unless told otherwise. */
  sync?: boolean | undefined
  /** Where the mounts are made, for tests; see `withMounted`. */
  directory?: string | undefined
}

/**
 * An applier that mounts the snapshot privately and writes the layer into it; a writable bind mount alone is written to at
 * its source. A bare upperdir (plain-mounts.ts) takes the layer by itself, with whiteouts as overlayfs keeps them.
 *
 * `apply` fails with LAYER_CORRUPT, LAYER_UNSAFE, LAYER_TOO_LARGE, LAYER_UNSUPPORTED, DIGEST_MISMATCH, SYSTEM_CALL_FAILED,
 * MOUNT_HELPER_MISSING, SNAPSHOT_WITHOUT_MOUNTS, ABORTED, or an error of `read`. Nothing stays mounted; what was written into the snapshot
 * stays, for the caller to remove with it.
 */
export function createApplier(options: ApplierOptions): Applier {
  return {
    async apply(layer: Descriptor, mounts: readonly Mount[], applying: ApplyOptions = {}): Promise<Applied> {
      if (mounts.length === 0) {
        throw new LayercastError('SNAPSHOT_WITHOUT_MOUNTS', `there is no mount to apply layer ${layer.digest} to`, {
          fix: 'See the log of the snapshotter: it has prepared nothing that could be written to.',
        })
      }
      const upperdir = bareUpperdir(mounts)
      if (upperdir !== undefined) return applyTo(upperdir, 'overlay', layer, options, applying)
      const bind = soleBind(mounts)
      if (bind?.plain === true) return applyTo(bind.source, 'remove', layer, options, applying)
      const applied = await withMounted(
        mounts.map(withoutMetacopy),
        (directory) => applyTo(directory, 'remove', layer, options, applying),
        { directory: options.directory },
      )
      if (options.sync !== false) await syncBehindHelpers(mounts)
      return applied
    },
  }
}

// Where overlayfs copies up metadata alone by default, a file's content would stay in a lower layer that later mounts need not have.
function withoutMetacopy(mount: Mount): Mount {
  if (mount.type !== 'overlay' || optionValue(mount.options, 'metacopy') !== undefined) return mount
  return copiesMetadataAlone() ? { ...mount, options: [...mount.options, 'metacopy=off'] } : mount
}

function copiesMetadataAlone(): boolean {
  try {
    return readFileSync('/sys/module/overlay/parameters/metacopy', 'latin1').startsWith('Y')
  } catch (error) {
    // Kernels before 4.19 know no such thing.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

// A sync of a FUSE file system ends at its process. What that process has written is on the file system of the upperdir.
async function syncBehindHelpers(mounts: readonly Mount[]): Promise<void> {
  for (const mount of mounts) {
    const upperdir = helperOf(mount.type) === undefined ? undefined : writtenDirectory(mount)
    if (upperdir === undefined) continue
    const fd = must(openAt(AT_FDCWD, toByteString(upperdir), O_RDONLY | O_DIRECTORY), 'openat2', upperdir)
    try {
      must(await syncFileSystem(fd), 'syncfs', upperdir)
    } finally {
      closeSync(fd)
    }
  }
}

async function applyTo(
  directory: string,
  whiteouts: WhiteoutForm,
  layer: Descriptor,
  options: ApplierOptions,
  applying: ApplyOptions,
): Promise<Applied> {
  const root = must(openAt(AT_FDCWD, toByteString(directory), O_RDONLY | O_DIRECTORY), 'openat2', directory)
  try {
    const applied = await writeLayer(root, whiteouts, layer, options, applying)
    if (options.sync !== false) must(await syncFileSystem(root), 'syncfs', directory)
    return applied
  } finally {
    closeSync(root)
  }
}

async function writeLayer(
  root: number,
  whiteouts: WhiteoutForm,
  layer: Descriptor,
  { read, limits }: ApplierOptions,
  { signal, onProgress, onIgnored }: ApplyOptions,
): Promise<Applied> {
  const writer = new LayerWriter(root, { whiteouts, devices: !inUserNamespace(), onIgnored })
  try {
    const archive = await readLayer(layer, read(layer), writer, { limits, signal, onProgress })
    return { ...archive, impliesDirectories: writer.impliesDirectories }
  } finally {
    writer.close()
  }
}
