import { existsSync, mkdtempSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'

/** A new directory for roots. */
export const makeBase = (): string => mkdtempSync(join(tmpdir(), 'layercast-embedded-'))

/** Makes a root, as its first change does. */
export async function make(root: string): Promise<void> {
  const backend = await openEmbedded({ root })
  await backend.leases.delete((await backend.leases.create()).id)
  await backend.close()
}

/** What does not fit together under a root: rows without files, files without rows, and what nobody owns. */
export function faults(root: string): string[] {
  // Whoever is killed before the database is there has made directories at most.
  if (!existsSync(join(root, 'layercast.db'))) {
    const files = existsSync(root) ? readdirSync(root, { recursive: true, withFileTypes: true }) : []
    return files
      .filter(
        (entry) => !entry.isDirectory() && entry.name !== 'layercast-root' && !entry.parentPath.endsWith('/ingest'),
      )
      .map(({ name }) => `file ${name} has no database`)
  }
  const database = new DatabaseSync(join(root, 'layercast.db'), { readOnly: true })
  try {
    const wrong: string[] = []
    const snapshots = database.prepare('select id, kind from snapshots').all()
    const directories = new Set(readdirSync(join(root, 'snapshots')))
    for (const { id, kind } of snapshots) {
      if (!directories.delete(String(id))) wrong.push(`snapshot ${id} has no directory`)
      else if (!existsSync(join(root, 'snapshots', String(id), 'fs'))) wrong.push(`snapshot ${id} has no fs`)
      else if (kind === 'active' && !existsSync(join(root, 'snapshots', String(id), 'work')))
        wrong.push(`${id}: no work`)
    }
    wrong.push(...[...directories].map((name) => `directory ${name} has no snapshot`))

    const blobs = new Map(
      database
        .prepare('select digest, size from blobs')
        .all()
        .map((row) => [row['digest'], row['size']]),
    )
    for (const algorithm of readdirSync(join(root, 'blobs'))) {
      for (const hex of readdirSync(join(root, 'blobs', algorithm))) {
        const digest = `${algorithm}:${hex}`
        const size = blobs.get(digest)
        if (size === undefined) wrong.push(`file ${digest} has no blob`)
        else if (size !== statSync(join(root, 'blobs', algorithm, hex)).size)
          wrong.push(`blob ${digest} has another size`)
        blobs.delete(digest)
      }
    }
    wrong.push(...[...blobs.keys()].map((digest) => `blob ${String(digest)} has no file`))
    for (const { id, kind } of snapshots) {
      const recorded = existsSync(join(root, 'snapshots', String(id), 'snapshot.json'))
      if (kind === 'committed' && !recorded) wrong.push(`snapshot ${id} has no record`)
    }
    for (const [table, key] of [
      ['images', 'name'],
      ['blobs', 'digest'],
    ] as const) {
      const rows = database.prepare(`select ${key} from ${table}`).all().length
      const records = existsSync(join(root, 'records', table)) ? readdirSync(join(root, 'records', table)).length : 0
      if (rows !== records) wrong.push(`${rows} ${table}, and ${records} records of them`)
    }
    for (const place of ['ingest', 'trash']) {
      wrong.push(...readdirSync(join(root, place)).map((name) => `${place} holds ${name}`))
    }
    const [check] = database.prepare('pragma integrity_check').all()
    if (check?.['integrity_check'] !== 'ok') wrong.push(`database: ${JSON.stringify(check)}`)
    return wrong
  } finally {
    database.close()
  }
}
