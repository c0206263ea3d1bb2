import { KNOWN_HEADER } from '../../contract/own-node.ts'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { App } from '../app.ts'
import type { Caller } from '../auth/caller.ts'
import { sha256Hex } from '../auth/hash.ts'
import { newToken } from '../auth/token.ts'
import { FLEET } from '../env.ts'
import { theFleet } from '../fleet/stub.ts'
import { findNode, listNodes, writeFacts } from '../store/nodes.ts'
import { knownOf } from '../store/reports.ts'

export function mountNodes(app: App): void {
  app.openapi(ROUTES.enrolNode, async (c) => {
    const { name, labels, facts, enrolmentKey } = c.req.valid('json')
    const token = await newToken('node')
    const joinTokenId = joinTokenOf(c.get('caller'))
    const result = await theFleet(c.env).enrol({
      fleet: FLEET,
      name,
      labels,
      facts: JSON.stringify(facts),
      enrolmentSha256: enrolmentKey === undefined ? null : await sha256Hex(enrolmentKey),
      joinTokenId,
      token: { id: token.id, sha256: token.sha256 },
    })
    switch (result.outcome) {
      case 'enrolled':
        return c.json({ id: result.nodeId, name, token: token.text }, 201)
      case 'again':
        return c.json({ id: result.nodeId, name, token: token.text }, 200)
      case 'name-taken':
        throw new LayercastError('NODE_EXISTS', `a node ${name} has enrolled already`, {
          fix: 'Remove that node, choose another name, or enrol with the enrolmentKey that it enrolled with.',
        })
      case 'used-up':
        throw new LayercastError('TOKEN_USED_UP', `token ${joinTokenId} has let in as many nodes as it may`, {
          fix: 'Ask an operator for a new one.',
        })
      case 'revoked':
        throw new LayercastError('TOKEN_REVOKED', `token ${joinTokenId} was revoked`, {
          fix: 'Ask an operator for a new one.',
        })
    }
  })

  app.openapi(ROUTES.listNodes, async (c) => c.json(await listNodes(c.env.DB, FLEET, c.req.valid('query')), 200))

  app.openapi(ROUTES.getNode, async (c) => {
    const { id } = c.req.valid('param')
    const node = await findNode(c.env.DB, FLEET, id)
    if (node === undefined) throw noNode(id)
    return c.json(node, 200)
  })

  app.openapi(ROUTES.removeNode, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await theFleet(c.env).remove(FLEET, id))) throw noNode(id)
    return c.body(null, 204)
  })

  app.openapi(ROUTES.putFacts, async (c) => {
    const { id } = c.req.valid('param')
    const caller = c.get('caller')
    if (caller.scope !== 'node' || caller.nodeId !== id) {
      throw new LayercastError('TOKEN_SCOPE', 'a node states its own facts only', { detail: { id } })
    }
    await writeFacts(c.env.DB, id, c.req.valid('json'))
    c.header(KNOWN_HEADER, await sha256Hex(await knownOf(c.env.DB, id)))
    return c.body(null, 204)
  })
}

function joinTokenOf(caller: Caller): string {
  if (caller.scope === 'join') return caller.tokenId
  throw new LayercastError('INTERNAL', 'the guard let a caller in who is no join token')
}

function noNode(id: string): LayercastError {
  return new LayercastError('NODE_NOT_FOUND', `there is no node ${id}`, {
    fix: "See them with 'layercast node ls', or GET /v1/nodes.",
  })
}
