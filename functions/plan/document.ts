/** The plan document: its type, its limits, and the bytes and digest that name it (README.md shows it whole). */
import { LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { digestBytes } from '../image/digest.ts'
import type { Digest } from '../image/digest.ts'
import type { Platform } from '../image/platform.ts'
import { canonicalBytes } from './canonical.ts'

/** The schema's name. Adding a field that changes what the runner does means v2. */
export const PLAN_SCHEMA = 'layercast.plan/v1'

/** The most bytes that a plan may have. */
export const MAX_PLAN_BYTES = 16 * 1024 * 1024

/** Whether the node needs the layer's blob: always, only when the snapshotter does not take the layer, or never. */
export type BlobNeed = 'required' | 'fallback' | 'none'

export interface PlanLayer {
  descriptor: Descriptor
  diffID: Digest
  chainID: Digest
  /** The chain ID below; empty for the first layer. */
  parent: Digest | ''
  /** Exactly what Prepare and Commit carry. */
  labels: Record<string, string>
  blob: BlobNeed
}

export interface PlanWarning {
  code: string
  detail: string
}

/** What to unpack and how, computed from the image and the snapshotter alone. */
export interface Plan {
  schema: typeof PLAN_SCHEMA
  reference: string
  snapshotter: string
  profile: string
  platform: Platform
  manifest: Descriptor
  config: Descriptor
  layers: PlanLayer[]
  /** The chain ID of the top layer; empty when there are no layers. */
  chainID: Digest | ''
  /** The labels that this profile cannot do without. */
  requires: string[]
  warnings: PlanWarning[]
}

/** A plan with its RFC 8785 bytes, and the sha256 digest of those bytes that names it. */
export interface Planned {
  plan: Plan
  bytes: Uint8Array
  digest: Digest
}

/** A plan with its canonical bytes and their digest. DOCUMENT_TOO_LARGE where no node would read it. */
export function seal(document: Plan): Planned {
  const bytes = canonicalBytes(document)
  if (bytes.length > MAX_PLAN_BYTES) {
    throw new LayercastError(
      'DOCUMENT_TOO_LARGE',
      `the plan has ${bytes.length} bytes, more than the ${MAX_PLAN_BYTES} allowed`,
      {
        fix: 'Build the image with fewer layers or smaller annotations.',
        detail: { size: bytes.length, limit: MAX_PLAN_BYTES },
      },
    )
  }
  return { plan: document, bytes, digest: digestBytes(bytes) }
}
