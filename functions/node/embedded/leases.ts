/** The leases of a root. */
import { randomBytes } from 'node:crypto'
import { LayercastError } from '../../errors.ts'
import { GC_EXPIRE } from '../../image/label-names.ts'
import { quote } from '../../image/quote.ts'
import type { HeldSnapshot, Lease, Leases } from '../ports.ts'
import { collectGarbage } from './collect.ts'
import type { RootDatabase } from './database.ts'
import { checkLabels } from './labels.ts'
import type { Layout } from './layout.ts'
import { leaseHolder } from './lease-holder.ts'
import { encodeLabels, storedOf } from './rows.ts'

const DAY_SECONDS = 24 * 60 * 60
// How long after a lease has ended what it held stays, so that the next run can use it. A delete with `sync` collects it at once.
const GRACE_MS = 60 * 60 * 1000

/** Runs the garbage collector for leases that ended longer ago than the grace period. */
export async function collectEnded(database: RootDatabase, layout: Layout): Promise<void> {
  await collectGarbage(database, layout, Date.now() - GRACE_MS)
}

/** Leases in the root's database. A lease that has ended stays for the collector; its ID can be used again. Errors as the port says. */
export function embeddedLeases(database: RootDatabase, layout: Layout, snapshotter: string): Leases {
  return {
    async create(options = {}): Promise<Lease> {
      const id = options.id ?? `layercast-${Date.now()}-${randomBytes(6).toString('base64url')}`
      const created = Date.now()
      const expires = created + (options.expiresInSeconds ?? DAY_SECONDS) * 1000
      // To the second, as containerd writes it.
      const expireText = new Date(expires).toISOString().replace(/\.\d+Z$/, 'Z')
      const labels = checkLabels({ [GC_EXPIRE]: expireText, ...options.labels })
      await database.transaction(() => {
        const found = database.get('select expires from leases where id = ?', id)
        if (found !== undefined && Number(found['expires']) > created) {
          throw new LayercastError('ALREADY_EXISTS', `lease ${quote(id)} exists already`, { detail: { lease: id } })
        }
        // An ended lease of this ID goes on, and holds what it held before.
        database.run(
          `insert into leases (id, labels, created, expires) values (?, ?, ?, ?)
           on conflict (id) do update set labels = excluded.labels, created = excluded.created, expires = excluded.expires`,
          id,
          encodeLabels(labels),
          created,
          expires,
        )
      })
      return { id, labels, createdAt: new Date(created) }
    },

    async hold(id, _snapshotter, names): Promise<void> {
      const hold = leaseHolder(database, id)
      await database.transaction(() => {
        for (const name of names) hold('snapshot', name)
      })
    },

    async held(id): Promise<HeldSnapshot[]> {
      if (database.get('select 1 from leases where id = ? and expires > ?', id, Date.now()) === undefined) {
        throw notFound(id)
      }
      const rows = database.all("select name from lease_resources where type = 'snapshot' and lease = ?", id)
      return rows.map((row) => ({ snapshotter, key: String(row['name']) }))
    },

    async delete(id, { sync = false } = {}): Promise<void> {
      const now = Date.now()
      // With `sync` it counts as ended before the grace period, so that the collector takes it now.
      const ended = sync ? now - GRACE_MS : now
      const gone = await database.transaction(() =>
        database.run('update leases set expires = ? where id = ? and expires > ?', ended, id, now),
      )
      if (gone === 0) {
        throw notFound(id)
      }
      await collectEnded(database, layout)
    },

    async *list(): AsyncGenerator<Lease> {
      const sql = 'select id, labels, created from leases where expires > ? order by id'
      for (const row of database.all(sql, Date.now())) {
        const { labels, createdAt } = storedOf({ ...row, updated: row['created'] })
        yield { id: String(row['id']), labels, createdAt }
      }
    },
  }
}

function notFound(id: string): LayercastError {
  return new LayercastError('NOT_FOUND', `there is no lease ${quote(id)}, or it has expired`, { detail: { lease: id } })
}
