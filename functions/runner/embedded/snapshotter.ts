import { LayercastError } from '../../image/errors.ts'
import { quote } from '../../image/quote.ts'
import type { Labels, Mount, SnapshotInfo, SnapshotKind, Snapshotter, Usage } from '../ports.ts'
import type { Database, Row } from './database.ts'
import { checkLabels, mergeLabels } from './labels.ts'
import { contentPath, snapshotPath, type Layout } from './layout.ts'
import type { Hold } from './lease-holder.ts'
import { describeMounts } from './mounts.ts'
import { encodeLabels, storedOf } from './rows.ts'
import { makeSnapshotDirectories } from './snapshot-directories.ts'
import { discard, removeTree } from './sweep.ts'
import { diskUsage } from './usage.ts'

// The snapshot that a Prepare is about to make. Where it is there already, the layer is done.
const TARGET_LABEL = 'containerd.io/snapshot.ref'

const SELECT = 'select s.*, p.name as parent_name from snapshots s left join snapshots p on p.id = s.parent'

/** Snapshots as directories, with the semantics of containerd's overlayfs snapshotter behind its metadata store. */
export class EmbeddedSnapshotter implements Snapshotter {
  readonly name: string
  readonly #database: Database
  readonly #layout: Layout
  readonly #hold: Hold

  constructor(name: string, database: Database, layout: Layout, hold: Hold) {
    this.name = name
    this.#database = database
    this.#layout = layout
    this.#hold = hold
  }

  async capabilities(): Promise<ReadonlySet<string>> {
    return new Set()
  }

  async prepare(key: string, parent: string, labels: Labels): Promise<Mount[]> {
    return this.#create('active', key, parent, labels)
  }

  async view(key: string, parent: string, labels: Labels): Promise<Mount[]> {
    return this.#create('view', key, parent, labels)
  }

  async commit(name: string, key: string, labels: Labels, options: { parent?: string } = {}): Promise<void> {
    const kept = encodeLabels(checkLabels(labels))
    // Counted before the lock is taken: it can take long, and an active snapshot has one owner.
    const found = this.#find(key)
    const usage = found?.['kind'] === 'active' ? await diskUsage(contentPath(this.#layout, idOf(found))) : undefined
    this.#unlessTaken([name], () => {
      const row = this.#get(key)
      if (row['kind'] !== 'active' || usage === undefined || idOf(row) !== idOf(found)) {
        throw precondition(`snapshot ${quote(key)} is ${String(row['kind'])}, not active`, key)
      }
      const { parent = '' } = options
      if (parent !== '' && parent !== row['parent_name']) {
        throw precondition(`snapshot ${quote(key)} cannot be given the parent ${quote(parent)} at its commit`, key)
      }
      this.#hold('snapshot', name)
      const now = Date.now()
      this.#database.run(
        `update snapshots set name = ?, kind = 'committed', labels = ?, size = ?, inodes = ?, created = ?, updated = ?
         where id = ?`,
        name,
        kept,
        usage.size,
        usage.inodes,
        now,
        now,
        idOf(row),
      )
    })
  }

  async stat(key: string): Promise<SnapshotInfo> {
    return infoOf(this.#get(key))
  }

  async update(key: string, labels: Labels): Promise<SnapshotInfo> {
    return this.#database.transaction(() => {
      const row = this.#get(key)
      const merged = encodeLabels(mergeLabels(storedOf(row).labels, labels))
      this.#database.run('update snapshots set labels = ?, updated = ? where id = ?', merged, Date.now(), idOf(row))
      return infoOf(this.#get(key))
    })
  }

  async remove(key: string): Promise<void> {
    const id = this.#database.transaction(() => {
      const found = idOf(this.#get(key))
      const children = this.#database.all('select name from snapshots where parent = ? order by id', found)
      if (children.length > 0) {
        throw precondition(`snapshot ${quote(key)} has children`, key, {
          children: children.map((child) => child['name']),
        })
      }
      this.#database.run('delete from snapshots where id = ?', found)
      this.#database.run("delete from lease_resources where type = 'snapshot' and name = ?", key)
      return found
    })
    // After the row: a directory without a row is cleared away at the next open, a row without one would stay.
    await removeTree(discard(this.#layout, snapshotPath(this.#layout, id)))
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    for (const row of this.#database.all(`${SELECT} order by s.id`)) yield infoOf(row)
  }

  async mounts(key: string): Promise<Mount[]> {
    const row = this.#get(key)
    if (row['kind'] === 'committed') {
      throw precondition(`snapshot ${quote(key)} is committed; only an active one or a view has mounts`, key)
    }
    return this.#mountsOf(row)
  }

  async usage(key: string): Promise<Usage> {
    const row = this.#get(key)
    if (row['kind'] === 'active') return diskUsage(contentPath(this.#layout, idOf(row)))
    return { size: Number(row['size']), inodes: Number(row['inodes']) }
  }

  #create(kind: 'active' | 'view', key: string, parent: string, labels: Labels): Mount[] {
    const kept = checkLabels(labels)
    const target = kept[TARGET_LABEL]
    return this.#unlessTaken(target === undefined ? [key] : [target, key], () => {
      const below = parent === '' ? undefined : this.#committed(parent)
      this.#hold('snapshot', key)
      const now = Date.now()
      const id = this.#database.insert(
        'insert into snapshots (name, kind, parent, labels, created, updated) values (?, ?, ?, ?, ?, ?)',
        key,
        kind,
        below ?? null,
        encodeLabels(kept),
        now,
        now,
      )
      makeSnapshotDirectories(this.#layout, id, kind, below)
      return this.#mountsOf(this.#get(key))
    })
  }

  #mountsOf(row: Row): Mount[] {
    const parents = this.#database.all(
      `with recursive below (id, depth) as (
         select parent, 1 from snapshots where id = ?
         union all select s.parent, depth + 1 from snapshots s join below b on s.id = b.id
       ) select id from below where id is not null order by depth`,
      idOf(row),
    )
    return describeMounts(this.#layout, idOf(row), row['kind'] as SnapshotKind, parents.map(idOf))
  }

  #find(key: string): Row | undefined {
    return this.#database.get(`${SELECT} where s.name = ?`, key)
  }

  #get(key: string): Row {
    const row = this.#find(key)
    if (row === undefined) throw notFound(this.name, key)
    return row
  }

  /** One transaction; ALREADY_EXISTS where a name is taken, and the lease then holds the snapshot that has it. */
  #unlessTaken<T>(names: readonly string[], work: () => T): T {
    const outcome = this.#database.transaction(() => {
      const taken = names.find((name) => this.#find(name) !== undefined)
      if (taken === undefined) return { result: work() }
      this.#hold('snapshot', taken)
      return { taken }
    })
    if ('result' in outcome) return outcome.result
    const { taken } = outcome
    throw new LayercastError('ALREADY_EXISTS', `snapshot ${quote(taken)} exists already`, {
      detail: { snapshot: taken },
    })
  }

  #committed(parent: string): number {
    const row = this.#find(parent)
    if (row === undefined) throw notFound(this.name, parent, 'parent ')
    if (row['kind'] !== 'committed') {
      throw precondition(`parent snapshot ${quote(parent)} is ${String(row['kind'])}, not committed`, parent)
    }
    return idOf(row)
  }
}

function idOf(row: Row | undefined): number {
  return Number(row?.['id'])
}

function infoOf(row: Row): SnapshotInfo {
  return {
    name: String(row['name']),
    parent: row['parent_name'] === null ? '' : String(row['parent_name']),
    kind: row['kind'] as SnapshotKind,
    ...storedOf(row),
  }
}

function notFound(snapshotter: string, key: string, which = ''): LayercastError {
  return new LayercastError('SNAPSHOT_NOT_FOUND', `${which}snapshot ${quote(key)} is not in ${snapshotter}`, {
    fix: 'List the snapshots with `layercast snapshot ls`.',
    detail: { snapshotter, snapshot: key },
  })
}

function precondition(message: string, key: string, detail: Record<string, unknown> = {}): LayercastError {
  return new LayercastError('FAILED_PRECONDITION', message, { detail: { snapshot: key, ...detail } })
}
