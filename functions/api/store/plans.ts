/** Plan documents by digest: the canonical bytes, and beside them the columns that other queries join on. */
import type { Planned } from '../../plan/document.ts'
import type { FleetDatabase } from './fleet-database.ts'
import { keepText, readText } from './texts.ts'

export function planStore(bound: FleetDatabase) {
  const { db, fleet } = bound
  return {
    /** Keeps plans. One that is there already is left as it is. */
    async keep(plans: readonly Planned[]): Promise<void> {
      const insert = db.prepare(
        `INSERT OR IGNORE INTO plans (fleet, digest, reference, snapshotter, manifest_digest, config_digest, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      const now = Date.now()
      await db.batch(
        plans.flatMap(({ plan, bytes, digest }) => [
          insert.bind(fleet, digest, plan.reference, plan.snapshotter, plan.manifest.digest, plan.config.digest, now),
          ...keepText(bound, digest, bytes),
        ]),
      )
    },

    /** A plan's canonical bytes, or undefined. */
    async read(digest: string): Promise<Uint8Array | undefined> {
      const select = db.prepare('SELECT 1 AS kept FROM plans WHERE fleet = ? AND digest = ?')
      const kept = await select.bind(fleet, digest).first<number>('kept')
      return kept === null ? undefined : await readText(bound, digest)
    },

    /** Those of the digests under which no plan is kept. */
    async missing(digests: readonly string[]): Promise<string[]> {
      const select = db.prepare(
        `SELECT wanted.value AS digest FROM json_each(?2) AS wanted
         WHERE NOT EXISTS (SELECT 1 FROM plans WHERE fleet = ?1 AND digest = wanted.value)`,
      )
      const { results } = await select.bind(fleet, JSON.stringify(digests)).all<{ digest: string }>()
      return results.map((row) => row.digest)
    },
  }
}
