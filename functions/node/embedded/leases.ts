/** The leases of a root. */
import { randomBytes } from 'node:crypto'
import { LayercastError } from '../../errors.ts'
import { GC_EXPIRE } from '../../image/label-names.ts'
import { quote } from '../../image/quote.ts'
import type { HeldSnapshot, Labels, Lease, Leases } from '../ports.ts'
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
export class EmbeddedLeases implements Leases {
  readonly #database: RootDatabase
  readonly #layout: Layout
  readonly #snapshotter: string

  constructor(database: RootDatabase, layout: Layout, snapshotter: string) {
    this.#database = database
    this.#layout = layout
    this.#snapshotter = snapshotter
  }

  async create(options: { id?: string; expiresInSeconds?: number; labels?: Labels } = {}): Promise<Lease> {
    const id = options.id ?? `layercast-${Date.now()}-${randomBytes(6).toString('base64url')}`
    const created = Date.now()
    const expires = created + (options.expiresInSeconds ?? DAY_SECONDS) * 1000
    // To the second, as containerd writes it.
    const expireText = new Date(expires).toISOString().replace(/\.\d+Z$/, 'Z')
    const labels = checkLabels({ [GC_EXPIRE]: expireText, ...options.labels })
    await this.#database.transaction(() => {
      const found = this.#database.get('select expires from leases where id = ?', id)
      if (found !== undefined && Number(found['expires']) > created) {
        throw new LayercastError('ALREADY_EXISTS', `lease ${quote(id)} exists already`, { detail: { lease: id } })
      }
      // An ended lease of this ID goes on, and holds what it held before.
      this.#database.run(
        `insert into leases (id, labels, created, expires) values (?, ?, ?, ?)
         on conflict (id) do update set labels = excluded.labels, created = excluded.created, expires = excluded.expires`,
        id,
        encodeLabels(labels),
        created,
        expires,
      )
    })
    return { id, labels, createdAt: new Date(created) }
  }

  async hold(id: string, _snapshotter: string, names: readonly string[]): Promise<void> {
    const hold = leaseHolder(this.#database, id)
    await this.#database.transaction(() => {
      for (const name of names) hold('snapshot', name)
    })
  }

  async held(id: string): Promise<HeldSnapshot[]> {
    if (this.#database.get('select 1 from leases where id = ? and expires > ?', id, Date.now()) === undefined) {
      throw notFound(id)
    }
    const rows = this.#database.all("select name from lease_resources where type = 'snapshot' and lease = ?", id)
    return rows.map((row) => ({ snapshotter: this.#snapshotter, key: String(row['name']) }))
  }

  async delete(id: string, { sync = false }: { sync?: boolean } = {}): Promise<void> {
    const now = Date.now()
    // With `sync` it counts as ended before the grace period, so that the collector takes it now.
    const ended = sync ? now - GRACE_MS : now
    const gone = await this.#database.transaction(() =>
      this.#database.run('update leases set expires = ? where id = ? and expires > ?', ended, id, now),
    )
    if (gone === 0) throw notFound(id)
    await collectEnded(this.#database, this.#layout)
  }

  async *list(): AsyncGenerator<Lease> {
    const sql = 'select id, labels, created from leases where expires > ? order by id'
    for (const row of this.#database.all(sql, Date.now())) {
      const { labels, createdAt } = storedOf({ ...row, updated: row['created'] })
      yield { id: String(row['id']), labels, createdAt }
    }
  }
}

function notFound(id: string): LayercastError {
  return new LayercastError('NOT_FOUND', `there is no lease ${quote(id)}, or it has expired`, { detail: { lease: id } })
}
