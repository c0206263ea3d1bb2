import { isAbsolute, resolve } from 'node:path'
import packageJSON from '../../../package.json' with { type: 'json' }
import type { Applied, Backend } from '../ports.ts'
import { absentSnapshotter } from './absent.ts'
import { embeddedContent } from './content.ts'
import { Database } from './database.ts'
import { embeddedImages } from './images.ts'
import { layoutOf, type Layout } from './layout.ts'
import { leaseHolder, noHolder, type Hold } from './lease-holder.ts'
import { collectEnded, embeddedLeases } from './leases.ts'
import { EmbeddedSnapshotter } from './snapshotter.ts'
import { sweep } from './sweep.ts'

/** The one snapshotter there is. It has the name of containerd's, and its semantics: plans for that one fit here. */
const SNAPSHOTTER = 'overlayfs'

/**
 * A backend without a daemon: blobs and snapshots in a directory tree under `root`, metadata in SQLite. Several
 * processes may have the same root open. What a killed process left is cleared away here. A root that is not there is made
 * by the first change, not before. SYSTEM_CALL_FAILED when the root cannot be opened (or made, then), FAILED_PRECONDITION
 * when a newer layercast has written it.
 */
export async function openEmbedded(options: { root: string }): Promise<Backend> {
  const layout = layoutOf(isAbsolute(options.root) ? options.root : resolve(options.root))
  const database = Database.open(layout)
  try {
    if (database.isThere) {
      await sweep(database, layout)
      await collectEnded(database, layout)
    }
  } catch (error) {
    database.close()
    throw error
  }
  return backend(database, layout, noHolder)
}

function backend(database: Database, layout: Layout, hold: Hold): Backend {
  const content = embeddedContent(database, layout, hold)
  return {
    kind: 'embedded',
    version: async () => packageJSON.version,
    images: embeddedImages(database),
    content,
    leases: embeddedLeases(database, layout),
    snapshotters: async () => [{ name: SNAPSHOTTER, capabilities: [] }],
    snapshotter: (name) =>
      name === SNAPSHOTTER
        ? new EmbeddedSnapshotter(name, database, layout, hold)
        : absentSnapshotter(name, [SNAPSHOTTER]),
    applier: {
      async apply(layer, mounts, options): Promise<Applied> {
        // Loaded at the first layer: reading what is there takes neither the decoders nor system calls.
        const { createApplier } = await import('../apply/index.ts')
        return createApplier({ read: ({ digest }) => content.read(digest) }).apply(layer, mounts, options)
      },
    },
    withLease: (id) => backend(database, layout, leaseHolder(database, id)),
    close: async () => database.close(),
  }
}
