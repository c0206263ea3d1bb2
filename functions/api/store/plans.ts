import type { D1Database } from '@cloudflare/workers-types'
import type { Planned } from '../../plan/document.ts'
import { keepText, readText } from './texts.ts'

/** Keeps plans. Keeping what is there already changes nothing. */
export async function keepPlans(db: D1Database, fleet: string, plans: readonly Planned[]): Promise<void> {
  const insert = db.prepare(
    `INSERT OR IGNORE INTO plans (fleet, digest, reference, snapshotter, manifest_digest, config_digest, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  )
  const now = Date.now()
  await db.batch(
    plans.flatMap(({ plan, bytes, digest }) => [
      insert.bind(fleet, digest, plan.reference, plan.snapshotter, plan.manifest.digest, plan.config.digest, now),
      ...keepText(db, fleet, digest, bytes),
    ]),
  )
}

/** A plan's canonical bytes, or undefined. */
export async function readPlan(db: D1Database, fleet: string, digest: string): Promise<Uint8Array | undefined> {
  const select = db.prepare('SELECT 1 AS kept FROM plans WHERE fleet = ? AND digest = ?')
  const kept = await select.bind(fleet, digest).first<number>('kept')
  return kept === null ? undefined : await readText(db, fleet, digest)
}

/** Which of these plans are not kept. */
export async function missingPlans(db: D1Database, fleet: string, digests: readonly string[]): Promise<string[]> {
  const select = db.prepare(
    `SELECT wanted.value AS digest FROM json_each(?2) AS wanted
     WHERE NOT EXISTS (SELECT 1 FROM plans WHERE fleet = ?1 AND digest = wanted.value)`,
  )
  const { results } = await select.bind(fleet, JSON.stringify(digests)).all<{ digest: string }>()
  return results.map((row) => row.digest)
}
