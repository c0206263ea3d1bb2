import { KNOWN_HEADER } from '../../contract/own-node.ts'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { App } from '../app.ts'
import type { Caller, NodeCaller } from '../auth/caller.ts'
import { sha256Hex } from '../auth/hash.ts'
import { matchesETag } from '../http/etag.ts'
import { ownAssignment } from '../store/node-plans.ts'
import { knownOf, recordReport } from '../store/reports.ts'

export function mountOwnNode(app: App): void {
  app.openapi(ROUTES.getOwnAssignment, async (c) => {
    const node = nodeOf(c.get('caller'))
    // The content came along with the token, so that "is it still this one?" reads the database once in all.
    const current = await etagOf(node.nodeId, node.generation, node.plans)
    c.header(KNOWN_HEADER, await sha256Hex(node.known))
    if (matchesETag(c.req.header('if-none-match'), current)) return c.body(null, 304, headersOf(current))
    const assignment = await ownAssignment(c.env.DB, node.nodeId)
    const digests = assignment.plans.map(({ digest }) => digest)
    return c.json(assignment, 200, headersOf(await etagOf(node.nodeId, assignment.generation, digests)))
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
    const taken = await recordReport(c.env.DB, node.nodeId, generation, plans)
    c.header(KNOWN_HEADER, await sha256Hex(await knownOf(c.env.DB, node.nodeId)))
    return c.json(taken, 200)
  })
}

/**
 * Over all that the answer says, since a plan's digest stands for the plan. The generation alone would not do: it comes
 * round where the database is set back to an older state.
 */
async function etagOf(nodeId: string, generation: number, digests: readonly string[]): Promise<string> {
  return `"${await sha256Hex(JSON.stringify([nodeId, generation, ...digests]))}"`
}

function headersOf(etag: string) {
  return { etag, 'cache-control': 'private, no-cache', vary: 'authorization' }
}

function nodeOf(caller: Caller): NodeCaller {
  if (caller.scope === 'node') return caller
  throw new LayercastError('INTERNAL', 'the guard let a caller in who is no node')
}
