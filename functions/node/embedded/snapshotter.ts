/** The snapshotter of a root. */
import { renameSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { LABEL } from '../../image/label-names.ts'
import { quote } from '../../image/quote.ts'
import type { Mount } from '../../linux/mount-list.ts'
import type { Labels, SnapshotInfo, SnapshotKind, Snapshotter, Usage } from '../ports.ts'
import type { RootDatabase, Row } from './database.ts'
import { isDiskFull } from './failures.ts'
import { checkLabels, mergeLabels } from './labels.ts'
import { contentPath, snapshotPath, type Layout } from './layout.ts'
import type { Hold } from './lease-holder.ts'
import { chainNumbers, hasContent, nearestLost } from './lost.ts'
import { describeMounts } from './mounts.ts'
import { dropSnapshotRecord, keepSnapshotRecord } from './records.ts'
import { encodeLabels, storedOf } from './rows.ts'
import { makeSnapshotDirectories } from './snapshot-directories.ts'
import { lostSnapshotError, notFound, precondition } from './snapshot-errors.ts'
import { moveToTrash, removeTrash } from './trash.ts'
import { diskUsage } from './usage.ts'

const SELECT = 'select s.*, p.name as parent_name from snapshots s left join snapshots p on p.id = s.parent'

/** Snapshots are directories, with the semantics of containerd's overlayfs snapshotter behind its metadata store. Errors as the port says. */
export class EmbeddedSnapshotter implements Snapshotter {
  readonly name: string
  readonly #database: RootDatabase
  readonly #layout: Layout
  readonly #hold: Hold

  constructor(name: string, database: RootDatabase, layout: Layout, hold: Hold) {
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
    // Counted before the lock is taken, because it can take long. Only one process works on an active snapshot.
    const found = this.#find(key)
    const usage = found?.['kind'] === 'active' ? await diskUsage(contentPath(this.#layout, idOf(found))) : undefined
    const committing = this.#unlessTaken(
      () => (this.#findWhole(name) === undefined ? undefined : name),
      () => {
        const row = this.#get(key)
        if (row['kind'] !== 'active' || usage === undefined || idOf(row) !== idOf(found)) {
          throw precondition(`snapshot ${quote(key)} is ${String(row['kind'])}, not active`, key)
        }
        const { parent = '' } = options
        if (parent !== '' && parent !== row['parent_name']) {
          throw precondition(`snapshot ${quote(key)} cannot be given the parent ${quote(parent)} at its commit`, key)
        }
        const lost = this.#find(name)
        const place = lost === undefined ? { id: idOf(row), replaced: undefined } : this.#takePlace(row, lost, name)
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
          place.id,
        )
        this.#keepRecord(this.#get(name))
        return place.replaced
      },
    )
    const replaced = await committing.catch((error: unknown) => {
      // The rollback does not undo the record, which is a file.
      if (this.#find(key)?.['kind'] === 'active') dropSnapshotRecord(this.#layout, idOf(found))
      throw error
    })
    await removeTrash(replaced)
  }

  async stat(key: string): Promise<SnapshotInfo> {
    return infoOf(this.#getWhole(key))
  }

  async update(key: string, labels: Labels): Promise<SnapshotInfo> {
    return await this.#database.transaction(() => {
      const row = this.#getWhole(key)
      const merged = encodeLabels(mergeLabels(storedOf(row).labels, labels))
      this.#database.run('update snapshots set labels = ?, updated = ? where id = ?', merged, Date.now(), idOf(row))
      const changed = this.#get(key)
      if (changed['kind'] === 'committed') this.#keepRecord(changed)
      return infoOf(changed)
    })
  }

  async remove(key: string): Promise<void> {
    try {
      const id = await this.#removeRow(key)
      // After the row: a directory without a row is cleared away at the next change, a row without a directory is not.
      await removeTrash(moveToTrash(this.#layout, snapshotPath(this.#layout, id)))
    } catch (error) {
      if (!isDiskFull(error)) throw error
      await this.#removeContent(key)
      await this.#removeRow(key)
    }
  }

  async #removeRow(key: string): Promise<number> {
    return await this.#database.transaction(() => {
      const id = this.#removable(key)
      this.#database.run('delete from snapshots where id = ?', id)
      this.#database.run("delete from lease_resources where type = 'snapshot' and name = ?", key)
      return id
    })
  }

  /**
   * For a full disk, on which the row cannot be deleted: the directory takes the space, so it goes first. Until the row goes, the
   * snapshot is a lost one, and nothing can be made on top of it.
   */
  async #removeContent(key: string): Promise<void> {
    const place = this.#database.locked(() =>
      moveToTrash(this.#layout, snapshotPath(this.#layout, this.#removable(key))),
    )
    await removeTrash(place)
  }

  #removable(key: string): number {
    const id = idOf(this.#get(key))
    const children = this.#database.all('select name from snapshots where parent = ? order by id', id)
    if (children.length === 0) return id
    throw precondition(`snapshot ${quote(key)} has children`, key, { children: children.map((child) => child['name']) })
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    const infos = this.#database.all(`${SELECT} order by s.id`).map((row) => ({ id: idOf(row), info: infoOf(row) }))
    const lost = new Set<string>()
    for (const { id, info } of infos) {
      // A parent is older than its children, so it came before.
      if (lost.has(info.parent) || !hasContent(this.#layout, id)) {
        // It may have been removed since the rows were read.
        if (this.#find(info.name) === undefined) continue
        lost.add(info.name)
        yield { ...info, lost: true }
      } else yield info
    }
  }

  async mounts(key: string): Promise<Mount[]> {
    const row = this.#getWhole(key)
    if (row['kind'] === 'committed') {
      throw precondition(`snapshot ${quote(key)} is committed; only an active one or a view has mounts`, key)
    }
    return this.#mountsOf(row)
  }

  async peek(name: string): Promise<Mount[]> {
    const row = this.#getWhole(name)
    if (row['kind'] !== 'committed') throw precondition(`snapshot ${quote(name)} is not committed`, name)
    const chain = chainNumbers(this.#database, idOf(row))
    return describeMounts(this.#layout, idOf(row), 'view', chain)
  }

  async usage(key: string): Promise<Usage> {
    const row = this.#get(key)
    if (row['kind'] === 'active') return diskUsage(contentPath(this.#layout, idOf(row)))
    return usageOf(row)
  }

  #create(kind: 'active' | 'view', key: string, parent: string, labels: Labels): Promise<Mount[]> {
    const kept = checkLabels(labels)
    const target = kept[LABEL.snapshotRef]
    const taken = (): string | undefined => {
      if (target !== undefined && this.#findWhole(target) !== undefined) return target
      return this.#find(key) === undefined ? undefined : key
    }
    return this.#unlessTaken(taken, () => {
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

  /**
   * Gives a layer that was made again the number of the lost one of its name, so that it is the parent of that one's children.
   * @returns its number now, and the place of what was left of the lost one, for `removeTrash`
   */
  #takePlace(made: Row, lost: Row, name: string): { id: number; replaced: string | undefined } {
    if (lost['kind'] !== 'committed' || lost['parent'] !== made['parent']) {
      throw precondition(`snapshot ${quote(name)} is lost and stood on another one`, name)
    }
    const [from, id] = [idOf(made), idOf(lost)]
    const replaced = moveToTrash(this.#layout, snapshotPath(this.#layout, id))
    renameSync(snapshotPath(this.#layout, from), snapshotPath(this.#layout, id))
    this.#database.run('delete from snapshots where id = ?', from)
    return { id, replaced }
  }

  #keepRecord(row: Row): void {
    const { kind: _, ...info } = infoOf(row)
    keepSnapshotRecord(this.#layout, { ...info, ...usageOf(row), id: idOf(row) })
  }

  #mountsOf(row: Row): Mount[] {
    const [, ...parents] = chainNumbers(this.#database, idOf(row))
    return describeMounts(this.#layout, idOf(row), row['kind'] as SnapshotKind, parents)
  }

  #find(key: string): Row | undefined {
    return this.#database.get(`${SELECT} where s.name = ?`, key)
  }

  #get(key: string): Row {
    const row = this.#find(key)
    if (row === undefined) throw notFound(this.name, key)
    return row
  }

  /** The snapshot; undefined where it, or one below it, is lost. */
  #findWhole(key: string): Row | undefined {
    const row = this.#find(key)
    return row === undefined || nearestLost(this.#database, this.#layout, idOf(row)) !== undefined ? undefined : row
  }

  #getWhole(key: string, which = ''): Row {
    const row = this.#find(key)
    if (row === undefined) throw notFound(this.name, key, which)
    const lost = nearestLost(this.#database, this.#layout, idOf(row))
    if (lost !== undefined) throw lostSnapshotError(this.name, key, snapshotPath(this.#layout, lost))
    return row
  }

  /** Works in one transaction. ALREADY_EXISTS where a name is taken; the lease then holds the snapshot of that name. */
  async #unlessTaken<T>(taken: () => string | undefined, work: () => T): Promise<T> {
    const outcome = await this.#database.transaction(() => {
      const name = taken()
      if (name === undefined) return { result: work() }
      this.#hold('snapshot', name)
      return { name }
    })
    if ('result' in outcome) return outcome.result
    const { name } = outcome
    throw new LayercastError('ALREADY_EXISTS', `snapshot ${quote(name)} exists already`, { detail: { snapshot: name } })
  }

  #committed(parent: string): number {
    const row = this.#getWhole(parent, 'parent ')
    if (row['kind'] !== 'committed') {
      throw precondition(`parent snapshot ${quote(parent)} is ${String(row['kind'])}, not committed`, parent)
    }
    return idOf(row)
  }
}

function idOf(row: Row | undefined): number {
  return Number(row?.['id'])
}

function usageOf(row: Row): Usage {
  return { size: Number(row['size']), inodes: Number(row['inodes']) }
}

function infoOf(row: Row): SnapshotInfo {
  return {
    name: String(row['name']),
    parent: row['parent_name'] === null ? '' : String(row['parent_name']),
    kind: row['kind'] as SnapshotKind,
    ...storedOf(row),
  }
}
