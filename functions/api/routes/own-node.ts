/** A node's own calls: what it should have, and what it reports. */
import { KNOWN_HEADER } from '../../contract/own-node.ts'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { Caller, NodeCaller } from '../auth/caller.ts'
import { recordReport } from '../fleet/record-report.ts'
import { sha256Hex } from '../hash.ts'
import type { App } from '../http/app-env.ts'
import { matchesETag } from '../http/etag.ts'

export function mountOwnNode(app: App): void {
  app.openapi(ROUTES.getOwnAssignment, async (c) => {
    const node = nodeOf(c.var.caller)
    // The digests were read together with the token, so that the answer "unchanged" costs one read of the database in all.
    const current = await etagOf(node.nodeId, node.generation, node.plans)
    c.header(KNOWN_HEADER, await sha256Hex(node.known))
    if (matchesETag(c.req.header('if-none-match'), current)) return c.body(null, 304, headersOf(current))
    const assignment = await c.var.store.nodePlans.ofNode(node.nodeId)
    const digests = assignment.plans.map(({ digest }) => digest)
    return c.json(assignment, 200, headersOf(await etagOf(node.nodeId, assignment.generation, digests)))
  })

  app.openapi(ROUTES.postReport, async (c) => {
    const node = nodeOf(c.var.caller)
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
    const taken = await recordReport(c.var.store, node.nodeId, generation, plans)
    c.header(KNOWN_HEADER, await sha256Hex(await c.var.store.nodes.known(node.nodeId)))
    return c.json(taken, 200)
  })
}

/**
 * The ETag of an assignment. It covers all that the answer says, a plan's digest standing for the plan. The generation alone
 * would not do: after a backup was put back, it takes values again that it had before.
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
