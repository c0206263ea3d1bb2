/** Replaces damaged blobs before anything is made of them: an image's documents, and the layers of a repair. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { orAborted } from '../../kit/abort.ts'
import type { Backend } from '../../node/ports.ts'
import { registrySources } from '../content/registry-labels.ts'
import type { EmitOperation } from '../operation/events.ts'
import { underLease } from '../operation/lease.ts'
import type { ImageSource } from '../sources/source.ts'
import { REGISTRY } from './from-source.ts'
import { blobsNotFound } from './not-found.ts'
import { storeFromSource } from './store-from-source.ts'

export interface HealerOptions {
  backend: Backend
  /** The name of the image. */
  reference: string
  /** What a registry is asked for: the image's index or manifest. */
  target: Digest
  /** As the user spelt them, asked in this order. */
  sources: readonly string[]
  signal: AbortSignal
  /** Takes the events of the leases under which blobs are stored. */
  emit: EmitOperation
}

export interface Healer {
  /**
   * Stores the blob from the first source that has it, in place of a damaged one. BLOB_NOT_FOUND where no source has it, with
   * the reasons; ABORTED.
   */
  heal(blob: Descriptor): Promise<void>
  close(): Promise<void>
}

/** A source is opened when the first blob is wanted. When it fails, that is one more reason, and the next one is asked. */
export function createHealer({ backend, reference, target, sources, signal, emit }: HealerOptions): Healer {
  const opened = new Map<string, Promise<ImageSource>>()
  const open = (spec: string): Promise<ImageSource> => {
    const known = opened.get(spec) ?? import('../sources/open.ts').then(({ openSource }) => openSource(spec, backend))
    opened.set(spec, known)
    return known
  }
  const specsOf = async (spec: string, { digest }: Descriptor): Promise<string[]> =>
    spec === REGISTRY ? await registrySources(backend, { reference, target, blobs: [target, digest] }) : [spec]

  /** Whether the source has the blob; it is stored then. */
  const take = async (spec: string, blob: Descriptor): Promise<boolean> => {
    const source = await orAborted(open(spec), signal)
    if (!(await orAborted(source.has(blob.digest), signal))) return false
    await underLease(backend, { purpose: 'heal', signal, emit }, ({ content }) =>
      storeFromSource(source, blob, content, signal),
    )
    return true
  }

  return {
    async heal(blob) {
      const problems: string[] = []
      const causes: LayercastError[] = []
      for (const named of sources) {
        for (const spec of await specsOf(named, blob)) {
          try {
            if (await take(spec, blob)) return
            problems.push(`${spec} does not have it`)
          } catch (error) {
            if (!(error instanceof LayercastError) || error.code === 'ABORTED' || error.code === 'INTERNAL') throw error
            problems.push(`${spec}: ${error.message}`)
            causes.push(error)
          }
        }
      }
      const fixes = [...new Set(causes.flatMap(({ fix }) => fix ?? []))]
      throw blobsNotFound([blob.digest], { why: 'or is damaged there', problems, causes, fixes })
    },
    async close() {
      for (const source of await Promise.allSettled(opened.values())) {
        if (source.status === 'fulfilled') await source.value.close()
      }
    },
  }
}
