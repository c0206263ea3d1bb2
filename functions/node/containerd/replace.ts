/** Replaces a damaged blob. The daemon has no call for that: a blob that it has cannot be written again. */
import { randomBytes } from 'node:crypto'
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT, GC_REF_SNAPSHOT } from '../../image/label-names.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { faultOf } from '../blob-fault.ts'
import { processLabels } from '../marked-lease.ts'
import { deleteLeaseIfThere, infoOrNone, removeBlobIfThere } from '../or-none.ts'
import type { ContentStore, Labels } from '../ports.ts'
import { verified } from '../verified.ts'
import type { Connection } from './connection.ts'
import { containerdLeases } from './leases.ts'
import { namespaceNames } from './namespaces.ts'
import { Leases as LeasesService } from './proto/gen/leases_pb.js'
import { writeBlob } from './write.ts'

/** When the leases of a killed replacement expire. */
const HOLD_SECONDS = 60 * 60
const SNAPSHOT = `${GC_REF_SNAPSHOT}.`

interface Replacement {
  expected: Pick<Descriptor, 'digest' | 'size'>
  data: AsyncIterable<Uint8Array>
  labels: Labels
}

/** A namespace that lists the blob, and what it says of it. */
interface Holder {
  connection: Connection
  labels: Labels
}

/**
 * Replaces the blob in every namespace, because all namespaces share the file with its bytes:
 *
 * 1. Write and check the data under a ref without a digest. With the digest the daemon would answer that the blob exists.
 * 2. In each namespace, put under a lease what the labels of the blob keep there (layers, a config, snapshots).
 * 3. Delete the blob in each namespace, and wait for the garbage collector, which removes the file.
 * 4. Commit the data with the labels that the blob had, and write it into the other namespaces with their labels.
 *
 * After a failure in step 3, step 4 still restores what was deleted. A kill between them leaves the blob missing instead of
 * damaged. CONTAINERD_FAILED where the damaged file stays.
 *
 * @param contentOf makes the content store over a connection
 */
export async function replaceBlob(
  connection: Connection,
  contentOf: (connection: Connection) => ContentStore,
  { expected, data, labels }: Replacement,
): Promise<void> {
  const { digest } = expected
  const content = contentOf(connection)
  const lease = `layercast-replace-${Date.now()}-${randomBytes(6).toString('hex')}`
  const held: Connection[] = []
  const removed: Holder[] = []
  const failures: unknown[] = []
  const makeRoom = async (): Promise<void> => {
    try {
      const holders = await holdersOf(connection, contentOf, digest)
      for (const holder of holders) {
        held.push(holder.connection)
        await holdChildren(holder, lease)
      }
      for (const holder of holders) {
        removed.push(holder)
        await removeBlobIfThere(contentOf(holder.connection), digest)
      }
      await collect(connection, `${lease}-collect`)
    } catch (error) {
      failures.push(error)
    }
  }
  const deleteLeases = async (): Promise<void> => {
    for (const own of held.splice(0)) await deleteLeaseIfThere(containerdLeases(own), lease)
  }
  try {
    const before = (await infoOrNone(content, digest))?.labels ?? {}
    const kept = { ...before, ...labels }
    await writeBlob(connection, expected, verified(data, expected), kept, makeRoom)
    // Needed where another writer was first: the blob then has the labels of that one only.
    await content.label(digest, kept)
    for (const holder of removed) {
      if (holder.connection.namespace === connection.namespace) continue
      const under = contentOf(holder.connection.withLease(lease))
      await under.write(expected, content.read(digest), holder.labels)
    }
    if (failures.length > 0) throw failures[0]
    const fault = await faultOf(content, expected)
    if (fault !== undefined) throw stillDamaged(digest, fault)
  } catch (error) {
    throw await cleanUp(error, [{ what: `delete lease ${lease}`, run: deleteLeases }])
  }
  await deleteLeases()
}

async function holdersOf(
  connection: Connection,
  contentOf: (connection: Connection) => ContentStore,
  digest: Digest,
): Promise<Holder[]> {
  const holders: Holder[] = []
  for (const namespace of await namespaceNames(connection)) {
    const own = connection.inNamespace(namespace)
    const info = await infoOrNone(contentOf(own), digest)
    if (info !== undefined) holders.push({ connection: own, labels: info.labels })
  }
  return holders
}

/** Creates the lease, and puts under it what the blob's labels keep. The collector keeps all that those lead to. */
async function holdChildren({ connection, labels }: Holder, id: string): Promise<void> {
  await containerdLeases(connection).create({ id, expiresInSeconds: HOLD_SECONDS, labels: processLabels() })
  const client = connection.client(LeasesService)
  for (const [key, name] of Object.entries(labels)) {
    const type = key.startsWith(GC_REF_CONTENT) ? 'content' : snapshotsOf(key)
    if (type === undefined) continue
    const resource = { id: name, type }
    await connection.call(`hold ${type} ${name} by lease ${id}`, () => client.addResource({ id, resource }))
  }
}

/** The resource type of a label `containerd.io/gc.ref.snapshot.SNAPSHOTTER`, which may end with a slash and anything. */
function snapshotsOf(key: string): string | undefined {
  return key.startsWith(SNAPSHOT) ? `snapshots/${key.slice(SNAPSHOT.length).split('/', 1)[0]}` : undefined
}

/** Returns when a garbage collection has run. */
async function collect(connection: Connection, id: string): Promise<void> {
  const leases = containerdLeases(connection.inNamespace(connection.namespace))
  await leases.create({ id, expiresInSeconds: HOLD_SECONDS, labels: processLabels() })
  await leases.delete(id, { sync: true })
}

function stillDamaged(digest: Digest, fault: string): LayercastError {
  return new LayercastError('CONTAINERD_FAILED', `containerd keeps the damaged blob ${digest}, which ${fault}`, {
    fix: "Remove the blob's file below containerd's root (io.containerd.content.v1.content/blobs), and run again.",
    detail: { digest },
  })
}
