/** Chooses who writes the layers of a run: layercast's own applier or containerd's diff service. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { isEncrypted, isErofsLayer } from '../../image/media-type.ts'
import type { Applied, Applier, ApplyOptions } from '../../layer/apply/types.ts'
import type { Mount } from '../../linux/mount-list.ts'
import type { Backend } from '../../node/ports.ts'
import { DiffService, type WrittenByDaemon } from './diff-service.ts'
import { canWriteTo } from './reach.ts'
import type { ApplierChoice } from './types.ts'

/** The applier of a run, and the archives that containerd's diff service has written in it so far, by diff ID. */
export interface ChosenApplier {
  applier: Applier
  byDaemon: ReadonlyMap<Digest, WrittenByDaemon>
}

/** USAGE where containerd's applier is asked for and the backend has none. */
export function checkApplier(backend: Backend, choice: ApplierChoice | Applier | undefined): void {
  if (choice !== 'containerd' || backend.diffService !== undefined) return
  throw new LayercastError('USAGE', `the ${backend.kind} backend has no applier called containerd`, {
    fix: 'Leave --applier away, or say --applier own.',
  })
}

/**
 * The applier that was asked for. Without a choice, layercast's own applier writes every layer whose snapshot it can reach,
 * because containerd's diff service does not always write what layers describe. The others are left to that service.
 */
export async function chooseApplier(
  backend: Backend,
  choice: ApplierChoice | Applier | undefined,
): Promise<ChosenApplier> {
  if (typeof choice === 'object') return { applier: choice, byDaemon: new Map() }
  if (choice === 'own' || backend.diffService === undefined) {
    return { applier: await ownApplier(backend), byDaemon: new Map() }
  }
  const daemons = new DiffService(backend.diffService)
  const applier = choice === 'containerd' ? daemons : ownWherePossible(await ownApplier(backend), daemons)
  return { applier, byDaemon: daemons.written }
}

async function ownApplier(backend: Backend): Promise<Applier> {
  // Loaded on demand: it binds system calls, which a plan or a dry run does not need.
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
      const applier = isForOwnApplier(layer) && (await canWriteTo(mounts)) ? own : daemons
      return await applier.apply(layer, mounts, options)
    },
  }
}

/** Only containerd's differ can place an EROFS image, and only containerd has the keys to encrypted layers. */
function isForOwnApplier({ mediaType }: Descriptor): boolean {
  return !isErofsLayer(mediaType) && !isEncrypted(mediaType)
}
