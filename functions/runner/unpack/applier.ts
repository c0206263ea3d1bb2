import { LayercastError } from '../../image/errors.ts'
import type { Applier, Backend } from '../ports.ts'
import type { ApplierChoice } from './types.ts'

/**
 * The applier that was asked for; the backend's own where none was. USAGE where containerd's is asked for and there is no
 * containerd.
 */
export async function chooseApplier(backend: Backend, choice: ApplierChoice | Applier | undefined): Promise<Applier> {
  if (choice === undefined) return backend.applier
  if (typeof choice === 'object') return choice
  if (choice === 'own') {
    // Loaded when asked for: it binds system calls, which a plan or a dry run has no use for.
    const { createApplier } = await import('../apply/index.ts')
    return createApplier({ read: (layer) => backend.content.read(layer.digest) })
  }
  if (backend.kind === 'containerd') return backend.applier
  throw new LayercastError('USAGE', `the ${backend.kind} backend has no applier called containerd`, {
    fix: 'Leave --applier away, or say --applier own.',
  })
}
