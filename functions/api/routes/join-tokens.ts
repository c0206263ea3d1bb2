/** Join tokens: made, listed and revoked by operators. */
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import { newToken } from '../auth/token.ts'
import { showJoinToken } from '../fleet/join-token.ts'
import type { App } from '../http/app-env.ts'
import { readPage } from '../http/page.ts'

export function mountJoinTokens(app: App): void {
  app.openapi(ROUTES.createJoinToken, async (c) => {
    const { ttlSeconds, maxUses, note } = c.req.valid('json')
    const { id, text, sha256 } = await newToken('join')
    const createdAt = Date.now()
    const token = {
      id,
      note: note ?? null,
      createdAt,
      expiresAt: createdAt + ttlSeconds * 1000,
      maxUses: maxUses ?? null,
    }
    await c.var.store.tokens.addJoinToken({ ...token, sha256 })
    return c.json({ ...showJoinToken({ ...token, uses: 0, revokedAt: null }), token: text }, 201)
  })

  app.openapi(ROUTES.listJoinTokens, async (c) => {
    const { listJoinTokens } = c.var.store.tokens
    const page = await readPage('join-tokens', c.req.valid('query'), listJoinTokens, ({ id }) => id)
    return c.json({ ...page, items: page.items.map(showJoinToken) }, 200)
  })

  app.openapi(ROUTES.revokeJoinToken, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await c.var.store.tokens.revokeJoinToken(id))) {
      throw new LayercastError('JOIN_TOKEN_NOT_FOUND', `there is no join token ${id}`, {
        fix: "See them with 'layercast join-token ls', or GET /v1/join-tokens.",
      })
    }
    return c.body(null, 204)
  })
}
