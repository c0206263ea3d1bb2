import { LayercastError } from '../../image/errors.ts'
import { isErofsLayer } from '../../image/media-type.ts'
import type { Plan } from '../../plan/document.ts'
import type { Applier, Backend } from '../ports.ts'
import type { ApplierChoice } from './types.ts'
import { isVisible } from './upper.ts'
import { minorOf } from './version.ts'

/**
 * The applier that was asked for; where none was, the backend's own, if it writes what the plan's layers describe. USAGE
 * where containerd's is asked for and there is no containerd.
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

/**
 * containerd's differs write an erofs layer without a look at those below it: links to their files fail, paths go through
 * no link of theirs, and directories that a layer leaves out get modes and owners of nobody's. 2.2's diff service cannot even
 * mount what its snapshotter answers. Ours has to see the snapshots, as it does not from another mount namespace.
 */
async function isUnfit(backend: Backend, plan: Plan): Promise<boolean> {
  if (backend.kind !== 'containerd' || plan.profile !== 'erofs') return false
  // An EROFS image as it lies is no archive for us to write: containerd's differ puts it in its place.
  if (plan.layers.some(({ descriptor }) => isErofsLayer(descriptor.mediaType))) return false
  const [major, minor] = minorOf(await backend.version()) ?? []
  if (major === 2 && minor === 2) return true
  const root = (await backend.snapshotters()).find(({ name }) => name === plan.snapshotter)?.root
  return root !== undefined && (await isVisible(root))
}
