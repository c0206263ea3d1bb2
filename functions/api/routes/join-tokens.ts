import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { App } from '../app.ts'
import { newToken } from '../auth/token.ts'
import { FLEET } from '../env.ts'
import { joinTokenOf, keepJoinToken, listJoinTokens, revokeJoinToken } from '../store/tokens.ts'

export function mountJoinTokens(app: App): void {
  app.openapi(ROUTES.createJoinToken, async (c) => {
    const { ttlSeconds, maxUses, note } = c.req.valid('json')
    const { id, text, sha256 } = await newToken('join')
    const now = Date.now()
    const row = {
      id,
      fleet: FLEET,
      sha256,
      note: note ?? null,
      created_at: now,
      expires_at: now + ttlSeconds * 1000,
      max_uses: maxUses ?? null,
    }
    await keepJoinToken(c.env.DB, row)
    return c.json({ ...joinTokenOf({ ...row, uses: 0, revoked_at: null }), token: text }, 201)
  })

  app.openapi(ROUTES.listJoinTokens, async (c) =>
    c.json(await listJoinTokens(c.env.DB, FLEET, c.req.valid('query')), 200),
  )

  app.openapi(ROUTES.revokeJoinToken, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await revokeJoinToken(c.env.DB, FLEET, id))) {
      throw new LayercastError('JOIN_TOKEN_NOT_FOUND', `there is no join token ${id}`, {
        fix: "See them with 'layercast join-token ls', or GET /v1/join-tokens.",
      })
    }
    return c.body(null, 204)
  })
}
