/** Nodes: enrolled by join tokens, seen and removed by operators; each states its own facts. */
import { KNOWN_HEADER } from '../../contract/own-node.ts'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { Caller } from '../auth/caller.ts'
import { newToken } from '../auth/token.ts'
import { sha256Hex } from '../hash.ts'
import type { App } from '../http/app-env.ts'
import { readPage } from '../http/page.ts'

export function mountNodes(app: App): void {
  app.openapi(ROUTES.enrolNode, async (c) => {
    const { name, labels, facts, enrolmentKey } = c.req.valid('json')
    const token = await newToken('node')
    const joinTokenId = joinTokenOf(c.var.caller)
    const result = await c.var.decisions.enrol({
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
      default:
        throw enrolmentRefused(result.outcome, name, joinTokenId)
    }
  })

  app.openapi(ROUTES.listNodes, async (c) => {
    const { list } = c.var.store.nodes
    return c.json(await readPage('nodes', c.req.valid('query'), list, ({ name }) => name), 200)
  })

  app.openapi(ROUTES.getNode, async (c) => {
    const { id } = c.req.valid('param')
    const node = await c.var.store.nodes.find(id)
    if (node === undefined) throw noNode(id)
    return c.json(node, 200)
  })

  app.openapi(ROUTES.removeNode, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await c.var.decisions.removeNode(id))) throw noNode(id)
    return c.body(null, 204)
  })

  app.openapi(ROUTES.putFacts, async (c) => {
    const { id } = c.req.valid('param')
    const { store, caller } = c.var
    if (caller.scope !== 'node' || caller.nodeId !== id) {
      throw new LayercastError('TOKEN_SCOPE', 'a node states its own facts only', { detail: { id } })
    }
    await store.nodes.writeFacts(id, c.req.valid('json'))
    c.header(KNOWN_HEADER, await sha256Hex(await store.nodes.known(id)))
    return c.body(null, 204)
  })
}

function enrolmentRefused(
  outcome: 'name-taken' | 'used-up' | 'revoked',
  name: string,
  tokenId: string,
): LayercastError {
  switch (outcome) {
    case 'name-taken':
      return new LayercastError('NODE_EXISTS', `a node ${name} has enrolled already`, {
        fix: 'Remove that node, choose another name, or enrol with the enrolmentKey that it enrolled with.',
      })
    case 'used-up':
      return new LayercastError('TOKEN_USED_UP', `token ${tokenId} has let in as many nodes as it may`, {
        fix: 'Ask an operator for a new one.',
      })
    case 'revoked':
      return new LayercastError('TOKEN_REVOKED', `token ${tokenId} was revoked`, {
        fix: 'Ask an operator for a new one.',
      })
  }
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
