/** What goes wrong with a chain, and how. */
import type { Backend, SnapshotInfo } from '../../functions/node/ports.ts'
import type { Plan } from '../../functions/plan/document.ts'

/** One label that is not as planned. An empty value drops it. */
export interface LabelDamage {
  chainID: string
  key: string
  value: string
}

/** Every single label dropped, changed, and swapped with that of the next layer; and one too many for the lowest layer. */
export function labelDamages(plan: Plan): LabelDamage[] {
  const damages: LabelDamage[] = []
  for (const [index, { chainID, labels }] of plan.layers.entries()) {
    const other = plan.layers[(index + 1) % plan.layers.length]?.labels ?? {}
    for (const [key, value] of Object.entries(labels)) {
      damages.push({ chainID, key, value: '' }, { chainID, key, value: `${value}x` })
      const swapped = other[key]
      if (swapped !== undefined && swapped !== value) damages.push({ chainID, key, value: swapped })
    }
    const key = 'containerd.io/snapshot/parent-chain-id'
    if (labels[key] === undefined) damages.push({ chainID, key, value: chainID })
  }
  return damages
}

export async function damageLabel(backend: Backend, { snapshotter }: Plan, damage: LabelDamage): Promise<void> {
  await backend.snapshotter(snapshotter).update(damage.chainID, { [damage.key]: damage.value })
}

/** The chain's snapshots as they are. */
export async function chainOf(backend: Backend, plan: Plan): Promise<SnapshotInfo[]> {
  return await Promise.all(plan.layers.map(({ chainID }) => backend.snapshotter(plan.snapshotter).stat(chainID)))
}

/** When the snapshots were made: the same where they were left standing. */
export async function madeAt(backend: Backend, plan: Plan): Promise<number[]> {
  return (await chainOf(backend, plan)).map(({ createdAt }) => createdAt.getTime())
}

/** Removes the chain from the top down to and with a layer. */
export async function removeFrom(backend: Backend, plan: Plan, index: number): Promise<void> {
  for (const { chainID } of plan.layers.slice(index).toReversed()) {
    await backend.snapshotter(plan.snapshotter).remove(chainID)
  }
}

/** A snapshot of a layer's name that stands where it should not, and with the labels that it should have. */
export async function misplace(backend: Backend, plan: Plan, index: number, parent: string): Promise<void> {
  const { chainID, labels } = plan.layers[index] as Plan['layers'][number]
  const lease = await backend.leases.create()
  const snapshotter = backend.withLease(lease.id).snapshotter(plan.snapshotter)
  const key = `misplaced-${index}`
  await snapshotter.prepare(key, parent, {})
  await snapshotter.commit(chainID, key, { ...labels })
  const gc = { [`containerd.io/gc.ref.snapshot.${plan.snapshotter}`]: chainID }
  await backend.content.label(plan.config.digest, gc)
  await backend.leases.delete(lease.id)
}
