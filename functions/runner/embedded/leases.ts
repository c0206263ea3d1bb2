import { randomBytes } from 'node:crypto'
import { LayercastError } from '../../image/errors.ts'
import { quote } from '../../image/quote.ts'
import type { Lease, Leases } from '../ports.ts'
import type { Database } from './database.ts'
import { checkLabels } from './labels.ts'
import { encodeLabels, storedOf } from './rows.ts'

const DAY_SECONDS = 24 * 60 * 60
// The label under which containerd keeps a lease's expiry, so that both backends show it alike.
const EXPIRE_LABEL = 'containerd.io/gc.expire'

/** Leases in the root's database. One that has expired is gone: nobody sees it, and its name is free again. */
export function embeddedLeases(database: Database): Leases {
  const dropExpired = (): void => {
    database.run('delete from leases where expires <= ?', Date.now())
  }
  return {
    async create(options = {}): Promise<Lease> {
      const id = options.id ?? `layercast-${Date.now()}-${randomBytes(6).toString('base64url')}`
      const created = Date.now()
      const expires = created + (options.expiresInSeconds ?? DAY_SECONDS) * 1000
      // To the second, as containerd's collector reads it.
      const expireText = new Date(expires).toISOString().replace(/\.\d+Z$/, 'Z')
      const labels = checkLabels({ [EXPIRE_LABEL]: expireText, ...options.labels })
      database.transaction(() => {
        dropExpired()
        if (database.get('select 1 from leases where id = ?', id)) {
          throw new LayercastError('ALREADY_EXISTS', `lease ${quote(id)} exists already`, { detail: { lease: id } })
        }
        const sql = 'insert into leases (id, labels, created, expires) values (?, ?, ?, ?)'
        database.run(sql, id, encodeLabels(labels), created, expires)
      })
      return { id, labels, createdAt: new Date(created) }
    },

    async delete(id): Promise<void> {
      const gone = database.transaction(() => {
        dropExpired()
        return database.run('delete from leases where id = ?', id)
      })
      if (gone === 0) {
        throw new LayercastError('NOT_FOUND', `there is no lease ${quote(id)}, or it has expired`, {
          detail: { lease: id },
        })
      }
    },

    async *list(): AsyncGenerator<Lease> {
      const sql = 'select id, labels, created from leases where expires > ? order by id'
      for (const row of database.all(sql, Date.now())) {
        const { labels, createdAt } = storedOf(row)
        yield { id: String(row['id']), labels, createdAt }
      }
    },
  }
}
