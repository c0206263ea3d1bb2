import { LayercastError } from '../../errors.ts'
/** Damaged blobs of an image that are replaced before anything is made of them: its documents, and a repair's layers. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { checkAborted, orAborted } from '../../kit/abort.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import { sourceLabel } from '../../plan/gc-labels.ts'
import { registrySources } from '../content/registry-labels.ts'
import { storeWhole } from '../content/store-whole.ts'
import { underLease } from '../operation/lease.ts'
import type { ImageSource } from '../sources/source.ts'
import { isRegistrySpec } from '../sources/spec.ts'
import { REGISTRY } from './from-source.ts'
import { blobsNotFound } from './not-found.ts'

export interface HealerOptions {
  backend: Backend
  /** The name of the image. */
  reference: string
  /** What a registry is asked for: the image's index or manifest. */
  target: Digest
  /** As the user spelt them, in this order. */
  sources: readonly string[]
  signal: AbortSignal
}

export interface Healer {
  /**
   * Has the store have this blob, and have it right, from the first source that has it. BLOB_NOT_FOUND where none does, with
   * the reasons.
   */
  heal(blob: Descriptor): Promise<void>
  close(): Promise<void>
}

/** Opens a source once a blob is wanted. What a source fails with is one more reason, and the next one is asked. */
export function createHealer({ backend, reference, target, sources, signal }: HealerOptions): Healer {
  const opened = new Map<string, Promise<ImageSource>>()
  const open = (spec: string): Promise<ImageSource> => {
    const known = opened.get(spec) ?? import('../sources/open.ts').then(({ openSource }) => openSource(spec))
    opened.set(spec, known)
    return known
  }
  const specsOf = async (spec: string, { digest }: Descriptor): Promise<string[]> =>
    spec === REGISTRY ? await registrySources(backend, { reference, target, blobs: [target, digest] }) : [spec]

  const take = async (spec: string, blob: Descriptor): Promise<boolean> => {
    const source = await orAborted(open(spec), signal)
    if (!(await orAborted(source.has(blob.digest), signal))) return false
    const read = async function* () {
      for await (const chunk of source.read(blob)) {
        checkAborted(signal)
        yield chunk
      }
    }
    const from = isRegistrySpec(spec) ? source.reference : undefined
    const labels = (existing: Labels) => (from === undefined ? {} : sourceLabel(from, existing))
    await underLease(backend, { purpose: 'heal', signal, emit: () => undefined }, ({ content }) =>
      storeWhole({ content, expected: blob, read, labels, signal }),
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
