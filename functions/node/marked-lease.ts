/** Leases with the mark of the process that holds them, so that a later run can delete those of dead processes. */
import type { Backend, Labels } from './ports.ts'
import { PROCESS_LABEL, processMark } from './process-mark.ts'

/** Long enough for any image; containerd's own default. */
const EXPIRES_IN_SECONDS = 24 * 60 * 60

/** Creates a lease with the mark of this process; it expires after a day by default. ALREADY_EXISTS, CONTAINERD_*. */
export async function createMarkedLease(
  backend: Backend,
  options: { id: string; expiresInSeconds?: number | undefined },
): Promise<void> {
  const { id, expiresInSeconds = EXPIRES_IN_SECONDS } = options
  await backend.leases.create({ id, expiresInSeconds, labels: processLabels() })
}

/** The labels of a lease that this process holds; none without a /proc. */
export function processLabels(): Labels {
  const mark = processMark()
  return mark === undefined ? {} : { [PROCESS_LABEL]: mark }
}
