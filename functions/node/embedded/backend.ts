import { isAbsolute, resolve } from 'node:path'
import packageJSON from '../../../package.json' with { type: 'json' }
import type { Backend } from '../ports.ts'
import { absentSnapshotter } from './absent.ts'
import { completeRecords } from './complete-records.ts'
import { embeddedContent } from './content.ts'
import { Database } from './database.ts'
import { writeFailure } from './failures.ts'
import { embeddedImages } from './images.ts'
import { layoutOf, type Layout } from './layout.ts'
import { leaseHolder, noHolder, type Hold } from './lease-holder.ts'
import { collectEnded, embeddedLeases } from './leases.ts'
import { EmbeddedSnapshotter } from './snapshotter.ts'
import { emptyTrash, sweep } from './sweep.ts'

/** The one snapshotter there is. It has the name of containerd's, and its semantics: plans for that one fit here. */
const SNAPSHOTTER = 'overlayfs'

/**
 * A backend without a daemon: blobs and snapshots in a directory tree under `root`, metadata in SQLite. Several
 * processes may have the same root open. Nothing is written before the first change, which makes a root that is not there,
 * and clears away what a killed process left. ROOT_FOREIGN for a directory that holds something and is not layercast's,
 * DATABASE_DAMAGED, SYSTEM_CALL_FAILED when it cannot be read (or made, then), FAILED_PRECONDITION when a newer layercast
 * has written it.
 */
export async function openEmbedded(options: { root: string }): Promise<Backend> {
  const layout = layoutOf(isAbsolute(options.root) ? options.root : resolve(options.root))
  const database = Database.open(layout)
  database.beforeFirstChange = {
    root: () => emptyTrash(layout),
    async database() {
      await sweep(database, layout)
      await collectEnded(database, layout)
      completeRecords(database, layout)
    },
  }
  return backend(database, layout, noHolder)
}

function backend(database: Database, layout: Layout, hold: Hold): Backend {
  return {
    kind: 'embedded',
    version: async () => packageJSON.version,
    images: embeddedImages(database, layout),
    content: embeddedContent(database, layout, hold),
    leases: embeddedLeases(database, layout, SNAPSHOTTER),
    snapshotters: async () => [{ name: SNAPSHOTTER, capabilities: [] }],
    snapshotter: (name) =>
      name === SNAPSHOTTER
        ? new EmbeddedSnapshotter(name, database, layout, hold)
        : absentSnapshotter(name, [SNAPSHOTTER]),
    writeFailure: (error) => writeFailure(layout, error),
    withLease: (id) => backend(database, layout, leaseHolder(database, id)),
    close: async () => database.close(),
  }
}
