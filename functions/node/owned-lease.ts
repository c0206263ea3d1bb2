/** The leases of layercast, all of which say whose they are, so that another run can let go what a dead one held. */
import type { Backend, Labels } from './ports.ts'
import { OWNER_LABEL, ownerMark } from './process-mark.ts'

/** Long enough for any image; containerd's own default. */
const EXPIRES_IN_SECONDS = 24 * 60 * 60

export interface OwnedLeaseOptions {
  id: string
  /** A day by default. */
  expiresInSeconds?: number | undefined
}

/** Makes a lease in this process's name. ALREADY_EXISTS, CONTAINERD_*. */
export async function makeLease(backend: Backend, options: OwnedLeaseOptions): Promise<void> {
  const { id, expiresInSeconds = EXPIRES_IN_SECONDS } = options
  await backend.leases.create({ id, expiresInSeconds, labels: await ownerLabels() })
}

/** The labels by which a lease of this process is told from that of a dead one; none without a /proc. */
export async function ownerLabels(): Promise<Labels> {
  const mark = await ownerMark()
  return mark === undefined ? {} : { [OWNER_LABEL]: mark }
}
