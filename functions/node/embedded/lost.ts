/** Lost snapshots: those with a row and no directory, because a person or another program removed it. */
import { lstatSync } from 'node:fs'
import type { RootDatabase } from './database.ts'
import { contentPath, type Layout } from './layout.ts'

/** The numbers of a snapshot and of all below it, from top to bottom. */
export function chainNumbers(database: RootDatabase, id: number): number[] {
  const rows = database.all(
    `with recursive chain (id, depth) as (
       select ?, 0
       union all select s.parent, depth + 1 from snapshots s join chain c on s.id = c.id where s.parent is not null
     ) select id from chain order by depth`,
    id,
  )
  return rows.map((row) => Number(row['id']))
}

/** Whether the directory with a snapshot's content exists. */
export function hasContent(layout: Layout, id: number): boolean {
  return lstatSync(contentPath(layout, id), { throwIfNoEntry: false })?.isDirectory() === true
}

/** Of a snapshot and all below it, the uppermost that is lost; undefined where none is. */
export function nearestLost(database: RootDatabase, layout: Layout, id: number): number | undefined {
  return chainNumbers(database, id).find((at) => !hasContent(layout, at))
}
