/** A blob put in the place of a damaged one, which the daemon's content store has no call for. */
import { randomBytes } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_CONTENT, GC_REF_SNAPSHOT } from '../../image/label-names.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { faultOf } from '../blob-fault.ts'
import { infoOrNone } from '../or-none.ts'
import { ownerLabels } from '../owned-lease.ts'
import type { ContentStore, Labels } from '../ports.ts'
import { verified } from '../verified.ts'
import type { Connection } from './connection.ts'
import { containerdLeases } from './leases.ts'
import { namespaceNames } from './namespaces.ts'
import { Leases as LeasesService } from './proto/gen/leases_pb.js'
import { writeBlob } from './write.ts'

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
 * Replaces the blob in every namespace, since its bytes are the same file for all of them:
 *
 * 1. The data is written whole, and checked, under a ref without a digest: with one the daemon says that it has it.
 * 2. A lease in each namespace takes hold of what the blob's own labels keep there (layers, a config, snapshots).
 * 3. The blob is deleted in each namespace, and the collector is waited for, which removes its file.
 * 4. The data is committed with the labels that the blob had, and the other namespaces are given it with theirs.
 *
 * What fails in step 3 does not keep step 4 from giving back what was deleted. A kill between the two leaves the blob missing
 * instead of damaged. CONTAINERD_FAILED where the damaged file stays.
 *
 * @param contentOf the content store over a connection
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
        await removeIfThere(contentOf(holder.connection), digest)
      }
      await collect(connection, `${lease}-collect`)
    } catch (error) {
      failures.push(error)
    }
  }
  const letGo = async (): Promise<void> => {
    for (const own of held.splice(0)) await deleteLease(own, lease)
  }
  try {
    const before = (await infoOrNone(content, digest))?.labels ?? {}
    const kept = { ...before, ...labels }
    await writeBlob(connection, expected, verified(data, expected), kept, makeRoom)
    // Also where another writer was first, and the blob has that one's labels only.
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
    throw await cleanUp(error, [{ what: `delete lease ${lease}`, run: letGo }])
  }
  await letGo()
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

/** Makes the lease, and puts under it what the blob's labels keep, and by that all that is below. */
async function holdChildren({ connection, labels }: Holder, id: string): Promise<void> {
  await containerdLeases(connection).create({ id, expiresInSeconds: HOLD_SECONDS, labels: await ownerLabels() })
  const client = connection.client(LeasesService)
  for (const [key, name] of Object.entries(labels)) {
    const type = key.startsWith(GC_REF_CONTENT) ? 'content' : snapshotsOf(key)
    if (type === undefined) continue
    const resource = { id: name, type }
    await connection.call(`hold ${type} ${name} by lease ${id}`, () => client.addResource({ id, resource }))
  }
}

/** `containerd.io/gc.ref.snapshot.NAME`, with something after a slash where there are several. */
function snapshotsOf(key: string): string | undefined {
  return key.startsWith(SNAPSHOT) ? `snapshots/${key.slice(SNAPSHOT.length).split('/', 1)[0]}` : undefined
}

async function removeIfThere(content: ContentStore, digest: Digest): Promise<void> {
  try {
    await content.remove(digest)
  } catch (error) {
    if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error
  }
}

/** Returns when the daemon's collector has been through. */
async function collect(connection: Connection, id: string): Promise<void> {
  const leases = containerdLeases(connection.inNamespace(connection.namespace))
  await leases.create({ id, expiresInSeconds: HOLD_SECONDS, labels: await ownerLabels() })
  await leases.delete(id, { sync: true })
}

async function deleteLease(connection: Connection, id: string): Promise<void> {
  try {
    await containerdLeases(connection).delete(id)
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
}

function stillDamaged(digest: Digest, fault: string): LayercastError {
  return new LayercastError('CONTAINERD_FAILED', `containerd keeps the damaged blob ${digest}, which ${fault}`, {
    fix: "Remove the blob's file below containerd's root (io.containerd.content.v1.content/blobs), and run again.",
    detail: { digest },
  })
}
