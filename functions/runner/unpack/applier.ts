import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { isEncrypted, isErofsLayer } from '../../image/media-type.ts'
import type { Applied, Applier, ApplyOptions } from '../../layer/apply/types.ts'
import type { Mount } from '../../linux/mount-list.ts'
import type { Backend } from '../../node/ports.ts'
import { canWriteTo } from './reach.ts'
import type { ApplierChoice } from './types.ts'

/** How containerd's diff service sees the layers below the one that it writes. */
export type View = 'merged' | 'not at all'

/** A layer that containerd's diff service wrote: from which blob, and with which view of those below it. */
export interface Daemons {
  blob: Descriptor
  view: View
}

/** The applier of a run, and the layers, by diff ID, that containerd's has written in it so far. */
export interface Chosen {
  applier: Applier
  daemons: ReadonlyMap<Digest, Daemons>
}

/** USAGE where the daemon's applier is asked for and the backend has none. */
export function checkApplier(backend: Backend, choice: ApplierChoice | Applier | undefined): void {
  if (choice !== 'containerd' || backend.diffService !== undefined) return
  throw new LayercastError('USAGE', `the ${backend.kind} backend has no applier called containerd`, {
    fix: 'Leave --applier away, or say --applier own.',
  })
}

/**
 * The applier that was asked for. Where none was, layercast's own writes every layer whose snapshot it can reach, under
 * whatever snapshotter, because containerd's does not always write what layers describe; the others are left to containerd.
 */
export async function chooseApplier(backend: Backend, choice: ApplierChoice | Applier | undefined): Promise<Chosen> {
  if (typeof choice === 'object') return notDaemons(choice)
  if (choice === 'own') return notDaemons(await ownApplier(backend))
  const { diffService } = backend
  if (diffService === undefined) return notDaemons(await ownApplier(backend))
  const daemons = new Map<Digest, Daemons>()
  const noting: Applier = {
    async apply(layer, mounts, options): Promise<Applied> {
      const applied = await diffService.apply(layer, mounts, options)
      if (!isErofsLayer(layer.mediaType)) daemons.set(applied.diffID, { blob: layer, view: viewThrough(mounts) })
      return applied
    },
  }
  return { applier: choice === 'containerd' ? noting : ownWherePossible(await ownApplier(backend), noting), daemons }
}

function notDaemons(applier: Applier): Chosen {
  return { applier, daemons: new Map() }
}

async function ownApplier(backend: Backend): Promise<Applier> {
  // Loaded when asked for: it binds system calls, which a plan or a dry run has no use for.
  const { createApplier } = await import('../../layer/apply/applier.ts')
  const own = createApplier({ read: (layer) => backend.content.read(layer.digest) })
  return {
    async apply(layer, mounts, options): Promise<Applied> {
      try {
        return await own.apply(layer, mounts, options)
      } catch (error) {
        throw backend.writeFailure?.(error) ?? error
      }
    },
  }
}

function ownWherePossible(own: Applier, daemons: Applier): Applier {
  return {
    async apply(layer: Descriptor, mounts: readonly Mount[], options?: ApplyOptions): Promise<Applied> {
      const applier = isArchive(layer) && (await canWriteTo(mounts)) ? own : daemons
      return await applier.apply(layer, mounts, options)
    },
  }
}

/** An EROFS image as it lies is for containerd's differ to put in its place, and a key is containerd's to have. */
function isArchive({ mediaType }: Descriptor): boolean {
  return !isErofsLayer(mediaType) && !isEncrypted(mediaType)
}

/** All versions to 2.4 write the upper directory of an overlay, also of erofs, without a look at those below. */
function viewThrough(mounts: readonly Mount[]): View {
  return mounts.some(({ type }) => type.includes('/') || type === 'overlay' || type === 'erofs')
    ? 'not at all'
    : 'merged'
}
