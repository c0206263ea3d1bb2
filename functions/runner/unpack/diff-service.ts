/** containerd's diff service as an applier of this run: it notes which layers it wrote, and how it saw those below. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { isErofsLayer } from '../../image/media-type.ts'
import type { Applied, Applier, ApplyOptions } from '../../layer/apply/types.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { bareUpperdir } from '../../linux/plain-mounts.ts'
import { mayImplyDirectories, now } from './implied-directories.ts'
import { isVisible } from './reach.ts'

/** How the diff service sees the layers below the one that it writes. */
export type View = 'merged' | 'not at all'

/** A layer that the diff service wrote: from which blob, and with which view of the layers below. */
export interface WrittenByDaemon {
  blob: Descriptor
  view: View
}

export class DiffService implements Applier {
  readonly #service: Applier
  readonly #written = new Map<Digest, WrittenByDaemon>()

  /** @param service the backend's */
  constructor(service: Applier) {
    this.#service = service
  }

  /** The archives that it has written so far, by diff ID. */
  get written(): ReadonlyMap<Digest, WrittenByDaemon> {
    return this.#written
  }

  /** As the service, which does not say `impliesDirectories`: for a bare upperdir that can be seen from here it is guessed. */
  async apply(layer: Descriptor, mounts: readonly Mount[], options?: ApplyOptions): Promise<Applied> {
    const begun = now()
    const applied = await this.#service.apply(layer, mounts, options)
    if (!isErofsLayer(layer.mediaType)) this.#written.set(applied.diffID, { blob: layer, view: viewThrough(mounts) })
    const upperdir = bareUpperdir(mounts)
    if (upperdir === undefined || !(await isVisible(upperdir))) return applied
    return { ...applied, impliesDirectories: await mayImplyDirectories(upperdir, begun) }
  }
}

/** All versions up to 2.4 write into the upperdir of an overlay, and of erofs, without looking at the layers below. */
function viewThrough(mounts: readonly Mount[]): View {
  return mounts.some(({ type }) => type.includes('/') || type === 'overlay' || type === 'erofs')
    ? 'not at all'
    : 'merged'
}
