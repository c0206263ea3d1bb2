import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../image/errors.ts'
import type { App } from '../app.ts'
import type { Caller, NodeCaller } from '../auth/caller.ts'
import { matchesETag } from '../http/etag.ts'
import { ownAssignment } from '../store/node-plans.ts'
import { recordReport } from '../store/reports.ts'

export function mountOwnNode(app: App): void {
  app.openapi(ROUTES.getOwnAssignment, async (c) => {
    const node = nodeOf(c.get('caller'))
    // The generation came along with the token, so that "is it still this one?" reads the database once in all.
    const held = c.req.header('if-none-match')
    if (matchesETag(held, etagOf(node.nodeId, node.generation))) {
      return c.body(null, 304, headersOf(node.nodeId, node.generation))
    }
    const assignment = await ownAssignment(c.env.DB, node.nodeId)
    return c.json(assignment, 200, headersOf(node.nodeId, assignment.generation))
  })

  app.openapi(ROUTES.postReport, async (c) => {
    const node = nodeOf(c.get('caller'))
    const { generation, plans } = c.req.valid('json')
    if (generation > node.generation) {
      throw new LayercastError(
        'REQUEST_INVALID',
        `generation ${generation} was never given: the newest is ${node.generation}`,
        {
          fix: 'Ask for the assignment again.',
          detail: { generation, newest: node.generation },
        },
      )
    }
    return c.json(await recordReport(c.env.DB, node.nodeId, generation, plans), 200)
  })
}

function etagOf(nodeId: string, generation: number): string {
  return `"${nodeId}.${generation}"`
}

function headersOf(nodeId: string, generation: number) {
  return { etag: etagOf(nodeId, generation), 'cache-control': 'private, no-cache', vary: 'authorization' }
}

function nodeOf(caller: Caller): NodeCaller {
  if (caller.scope === 'node') return caller
  throw new LayercastError('INTERNAL', 'the guard let a caller in who is no node')
}
