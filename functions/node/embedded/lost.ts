/** Which snapshots have a row and no directory: what a person, or another program, took away. */
import { lstatSync } from 'node:fs'
import type { Database } from './database.ts'
import { contentPath, type Layout } from './layout.ts'

/** The numbers of a snapshot and of those below it, the nearest first. */
export function chainOf(database: Database, id: number): number[] {
  const rows = database.all(
    `with recursive chain (id, depth) as (
       select ?, 0
       union all select s.parent, depth + 1 from snapshots s join chain c on s.id = c.id where s.parent is not null
     ) select id from chain order by depth`,
    id,
  )
  return rows.map((row) => Number(row['id']))
}

/** Whether the directory with the snapshot's own content is there. */
export function hasContent(layout: Layout, id: number): boolean {
  return lstatSync(contentPath(layout, id), { throwIfNoEntry: false })?.isDirectory() === true
}

/** The nearest one whose directory is gone, of a snapshot and those below; undefined where all are there. */
export function lostIn(database: Database, layout: Layout, id: number): number | undefined {
  return chainOf(database, id).find((at) => !hasContent(layout, at))
}
