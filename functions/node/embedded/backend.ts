/** The embedded adapter: a backend without a daemon, in one directory. Each port has a file of its own. */
import { isAbsolute, resolve } from 'node:path'
import packageJSON from '../../../package.json' with { type: 'json' }
import type { Backend } from '../ports.ts'
import { absentSnapshotter } from './absent.ts'
import { completeRecords } from './complete-records.ts'
import { EmbeddedContent } from './content.ts'
import { RootDatabase } from './database.ts'
import { writeFailure } from './failures.ts'
import { embeddedImages } from './images.ts'
import { layoutOf, type Layout } from './layout.ts'
import { leaseHolder, noHolder, type Hold } from './lease-holder.ts'
import { collectEnded, EmbeddedLeases } from './leases.ts'
import { EmbeddedSnapshotter } from './snapshotter.ts'
import { removeHalfWritten, sweep } from './sweep.ts'

/** The only snapshotter. It has the name and the semantics of containerd's overlayfs, so that plans for that one are valid here. */
const SNAPSHOTTER = 'overlayfs'

/**
 * Opens a root: blobs and snapshots are files and directories below it, metadata is in SQLite. Several processes may have the same
 * root open. Nothing is written before the first change, which creates a root that does not exist, and clears away what killed
 * processes left. ROOT_FOREIGN for a directory that is not empty and not a root of layercast's; DATABASE_DAMAGED;
 * SYSTEM_CALL_FAILED where the root cannot be read (or, later, created); FAILED_PRECONDITION where a newer layercast wrote it.
 */
export async function openEmbedded(options: { root: string }): Promise<Backend> {
  const layout = layoutOf(isAbsolute(options.root) ? options.root : resolve(options.root))
  const database = RootDatabase.open(layout)
  database.beforeFirstChange = {
    root: () => removeHalfWritten(layout),
    async database() {
      await sweep(database, layout)
      await collectEnded(database, layout)
      completeRecords(database, layout)
    },
  }
  return backend(database, layout, noHolder)
}

function backend(database: RootDatabase, layout: Layout, hold: Hold): Backend {
  return {
    kind: 'embedded',
    version: async () => packageJSON.version,
    images: embeddedImages(database, layout),
    content: new EmbeddedContent(database, layout, hold),
    leases: new EmbeddedLeases(database, layout, SNAPSHOTTER),
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
