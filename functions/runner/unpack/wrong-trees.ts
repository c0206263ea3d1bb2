/** Warns of layers from which containerd's diff service made another tree than they describe. */
import { LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import type { Reliance } from '../../layer/compare/reliance.ts'
import { hasBytes } from '../../node/blob-fault.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import type { LayerContext } from './context.ts'
import type { View, WrittenByDaemon } from './diff-service.ts'

type Context = Pick<LayerContext, 'backend' | 'signal' | 'emit'>

const UNREADABLE = /^(?:LAYER_|DIGEST_MISMATCH$|DIFF_ID_MISMATCH$)/u
/** In which ways a layer relies on those below it and containerd's diff service gets it wrong, by how it sees them. */
const UNSEEN: Readonly<Record<View, ReadonlySet<Reliance>>> = {
  'not at all': new Set(['link', 'hard link', 'opaque root', 'deleted']),
  merged: new Set(['deleted', 'attributes']),
}
const WHAT: Readonly<Record<Reliance, string>> = {
  link: 'goes through a symbolic link of a layer below, and hides it instead',
  'hard link': 'links to a file of a layer below',
  'opaque root': 'hides all of the layers below, and hides nothing',
  deleted: 'has a whiteout within a deleted directory, which comes back empty',
  attributes: 'takes attributes away from a directory, which keeps them',
}

/** The first entry of a layer that containerd gets wrong, and how many more there are. */
interface Wrong {
  reliance: Reliance
  path: string
  more: number
}

/**
 * TREE_WRONG where a layer that the service wrote relies on those below it in a way that it gets wrong; TREE_UNCHECKED where a
 * blob is not here or cannot be read, so that nobody can tell. Reads the blobs of the layers and not the snapshots, which may
 * be out of reach. ABORTED, and errors of the backend.
 *
 * @param byDaemon the layers that containerd's diff service wrote, by diff ID
 */
export async function warnOfWrongTrees(
  context: Context,
  plan: Plan,
  byDaemon: ReadonlyMap<Digest, WrittenByDaemon>,
): Promise<void> {
  const { emit } = context
  const last = plan.layers.findLastIndex(({ diffID }) => byDaemon.has(diffID))
  // The lowest layer relies on nothing.
  if (last < 1) return
  const wrong = new Map<PlanLayer, Wrong>()
  const why = await look(context, plan.layers.slice(0, last + 1), byDaemon, wrong)
  for (const [layer, { reliance, path, more }] of wrong) {
    const others = more === 0 ? '' : `, and ${more} more of its entries are like it`
    const detail = `layer ${plan.layers.indexOf(layer) + 1} at ${JSON.stringify(path)} ${WHAT[reliance]}${others}: containerd's diff service wrote another tree than the layers describe. Run 'layercast repair --deep', without --applier containerd, where containerd's snapshots can be seen.`
    emit({ type: 'warning', code: 'TREE_WRONG', detail })
  }
  if (why === undefined) return
  const detail = `${why}: whether containerd's diff service wrote the layers from there on as they are described cannot be told`
  emit({ type: 'warning', code: 'TREE_UNCHECKED', detail })
}

/** Goes through the layers and notes what is wrong. Gives why it stopped before the last one; undefined where it did not. */
async function look(
  { backend, signal }: Context,
  layers: readonly PlanLayer[],
  byDaemon: ReadonlyMap<Digest, WrittenByDaemon>,
  wrong: Map<PlanLayer, Wrong>,
): Promise<string | undefined> {
  const [{ DescribedTree }, { describeLayer }] = await Promise.all([
    import('../../layer/compare/described-tree.ts'),
    import('../../layer/compare/describe-layer.ts'),
  ])
  let present: PlanLayer | undefined
  const described = new DescribedTree({
    contents: false,
    onReliance(reliance, path) {
      const view = present && byDaemon.get(present.diffID)?.view
      if (present === undefined || view === undefined || !UNSEEN[view].has(reliance)) return
      const known = wrong.get(present)
      if (known === undefined) wrong.set(present, { reliance, path, more: 0 })
      else known.more++
    },
  })
  for (present of layers) {
    const descriptor = byDaemon.get(present.diffID)?.blob ?? present.descriptor
    if (!(await hasBytes(backend.content, descriptor.digest))) return `blob ${descriptor.digest} is not here`
    try {
      await describeLayer(
        described,
        { ...present, descriptor },
        { source: backend.content.read(descriptor.digest), signal },
      )
    } catch (error) {
      // containerd could read the layer, so the unpack has not failed.
      if (!(error instanceof LayercastError) || !UNREADABLE.test(error.code)) throw error
      return error.message
    }
  }
  return undefined
}
