import { LayercastError } from '../../image/errors.ts'
import type { Plan } from '../../plan/document.ts'
import type { Applier, Backend } from '../ports.ts'
import type { ApplierChoice } from './types.ts'
import { minorOf } from './version.ts'

/**
 * The applier that was asked for; where none was, the backend's own, if it can write what the plan is for. USAGE where
 * containerd's is asked for and there is no containerd.
 */
export async function chooseApplier(
  backend: Backend,
  choice: ApplierChoice | Applier | undefined,
  plan: Plan,
): Promise<Applier> {
  if (typeof choice === 'object') return choice
  if (choice === 'own' || (choice === undefined && (await isUnfit(backend, plan)))) {
    // Loaded when asked for: it binds system calls, which a plan or a dry run has no use for.
    const { createApplier } = await import('../apply/index.ts')
    return createApplier({ read: (layer) => backend.content.read(layer.digest) })
  }
  if (choice === undefined || backend.kind === 'containerd') return backend.applier
  throw new LayercastError('USAGE', `the ${backend.kind} backend has no applier called containerd`, {
    fix: 'Leave --applier away, or say --applier own.',
  })
}

/** 2.2's diff service cannot mount what 2.2's erofs snapshotter answers above the first layer. */
async function isUnfit(backend: Backend, plan: Plan): Promise<boolean> {
  if (backend.kind !== 'containerd' || plan.profile !== 'erofs') return false
  const [major, minor] = minorOf(await backend.version()) ?? []
  return major === 2 && minor === 2
}
