import type { D1Database } from '@cloudflare/workers-types'
import type { Assignment } from '../../contract/assignments.ts'
import { formatSelector } from '../../contract/selector.ts'
import { afterKey, pageFrom } from './cursor.ts'
import type { PageQuery } from './cursor.ts'

interface Row {
  id: string
  selector: string
  generation: number
  created_at: number
  plans: string
  nodes: number
}

const SELECT = `
  SELECT id, selector, generation, created_at,
    (SELECT json_group_array(json_object('digest', digest, 'reference', reference, 'snapshotter', snapshotter)) FROM (
       SELECT plans.digest, plans.reference, plans.snapshotter FROM assignment_plans
       JOIN plans ON plans.fleet = assignments.fleet AND plans.digest = assignment_plans.plan_digest
       WHERE assignment_plans.assignment_id = assignments.id ORDER BY assignment_plans.position)) AS plans,
    (SELECT count(*) FROM assigned WHERE assigned.assignment_id = assignments.id) AS nodes
  FROM assignments`

export async function listAssignments(db: D1Database, fleet: string, query: PageQuery) {
  const select = db.prepare(`${SELECT} WHERE fleet = ? AND id > ? ORDER BY id LIMIT ?`)
  const { results } = await select.bind(fleet, afterKey('assignments', query), query.limit + 1).all<Row>()
  return pageFrom('assignments', query, results, (row) => row.id, assignmentOf)
}

export async function findAssignment(db: D1Database, fleet: string, id: string): Promise<Assignment | undefined> {
  const row = await db.prepare(`${SELECT} WHERE fleet = ? AND id = ?`).bind(fleet, id).first<Row>()
  return row === null ? undefined : assignmentOf(row)
}

function assignmentOf(row: Row): Assignment {
  return {
    id: row.id,
    selector: formatSelector(JSON.parse(row.selector) as Record<string, string>),
    plans: JSON.parse(row.plans) as Assignment['plans'],
    createdAt: new Date(row.created_at).toISOString(),
    generation: row.generation,
    nodes: row.nodes,
  }
}
