/** Plans: made of an image's documents, and read by digest. */
import type { z } from '@hono/zod-openapi'
import type { Context, TypedResponse } from 'hono'
import { PLAN_TYPE } from '../../contract/plans.ts'
import type { planByDigest, planByUpload, planMade } from '../../contract/plans.ts'
import { ROUTES } from '../../contract/routes.ts'
import { LayercastError } from '../../errors.ts'
import type { Plan, Planned } from '../../plan/document.ts'
import { readVisibleImage, readVisiblePlan } from '../auth/visible.ts'
import type { App, AppEnv } from '../http/app-env.ts'
import { immutable, matchesETag } from '../http/etag.ts'
import { keptDocuments, makePlans } from './make-plans.ts'

export function mountPlans(app: App): void {
  app.openapi(ROUTES.createPlans, async (c) => {
    const type = (c.req.header('content-type') ?? '').toLowerCase()
    if (type.startsWith('multipart/form-data')) {
      const { manifest, config, ...options } = c.req.valid('form') as z.output<typeof planByUpload>
      const documents = { manifest: await bytesOf(manifest), config: await bytesOf(config) }
      return await answerPlans(c, makePlans({ ...documents, mediaType: options.mediaType }, options))
    }
    if (!type.startsWith('application/json')) {
      throw new LayercastError('REQUEST_INVALID', 'there is no image to plan in the request', {
        fix: 'Send multipart/form-data with the parts manifest and config, or JSON that names a kept manifest.',
      })
    }
    const request = c.req.valid('json') as z.output<typeof planByDigest>
    const read = (digest: string) => readVisibleImage(c.var.store, c.var.caller, digest)
    return await answerPlans(c, makePlans(await keptDocuments(request, read), request))
  })

  app.openapi(ROUTES.getPlan, async (c) => {
    const { digest } = c.req.valid('param')
    const bytes = await readVisiblePlan(c.var.store, c.var.caller, digest)
    const headers = { etag: `"${digest}"`, 'cache-control': immutable(c.var.isPlannerOpen) }
    if (matchesETag(c.req.header('if-none-match'), headers.etag)) return c.body(null, 304, headers)
    return new Response(bytes as BodyInit, { headers: { ...headers, 'content-type': PLAN_TYPE } })
  })
}

/** What POST /v1/plans answers: the canonical bytes of one plan, or an object with a list of plans. */
type Answer = TypedResponse<z.output<typeof planMade> | Plan, 200, 'json'>

/** Stores the plans and answers them: one plan as its bytes alone where the caller accepts PLAN_TYPE, else the list. */
async function answerPlans(c: Context<AppEnv>, planned: Planned[]): Promise<Answer> {
  await c.var.store.plans.keep(planned)
  const [first] = planned
  const wanted = (c.req.header('accept') ?? '').split(',').some((type) => type.split(';', 1)[0]?.trim() === PLAN_TYPE)
  if (planned.length === 1 && first !== undefined && wanted) {
    const headers = { etag: `"${first.digest}"`, location: `/v1/plans/${first.digest}`, vary: 'accept' }
    return new Response(first.bytes as BodyInit, { headers: { ...headers, 'content-type': PLAN_TYPE } }) as Response &
      Answer
  }
  const plans = planned.map(({ plan, digest }) => ({ snapshotter: plan.snapshotter, digest, plan }))
  return Response.json({ plans }, { headers: { vary: 'accept' } }) as Response & Answer
}

async function bytesOf(part: Blob): Promise<Uint8Array> {
  return new Uint8Array(await part.arrayBuffer())
}
