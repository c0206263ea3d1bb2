/** Assignments: made, listed and taken back by operators. */
import { ROUTES } from '../../contract/routes.ts'
import { parseSelector } from '../../contract/selector.ts'
import { LayercastError } from '../../errors.ts'
import { planNotFound, readVisibleImage } from '../auth/visible.ts'
import type { App } from '../http/app-env.ts'
import { readPage } from '../http/page.ts'
import { keptDocuments, makePlans } from './make-plans.ts'

export function mountAssignments(app: App): void {
  app.openapi(ROUTES.createAssignment, async (c) => {
    const request = c.req.valid('json')
    const selector = parseSelector(request.selector)
    const { store, caller, decisions } = c.var
    let plans: string[]
    if ('plans' in request) {
      plans = [...new Set(request.plans)]
      const [missing] = await store.plans.missing(plans)
      if (missing !== undefined) throw planNotFound(missing)
    } else {
      const read = (digest: string) => readVisibleImage(store, caller, digest)
      const made = makePlans(await keptDocuments(request.image, read), request.image)
      await store.plans.keep(made)
      plans = [...new Set(made.map(({ digest }) => digest))]
    }
    const id = await decisions.assign({ selector, plans })
    const assignment = await store.assignments.find(id)
    if (assignment === undefined) throw noAssignment(id)
    return c.json(assignment, 201)
  })

  app.openapi(ROUTES.listAssignments, async (c) => {
    const { list } = c.var.store.assignments
    return c.json(await readPage('assignments', c.req.valid('query'), list, ({ id }) => id), 200)
  })

  app.openapi(ROUTES.removeAssignment, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await c.var.decisions.unassign(id))) throw noAssignment(id)
    return c.body(null, 204)
  })
}

function noAssignment(id: string): LayercastError {
  return new LayercastError('ASSIGNMENT_NOT_FOUND', `there is no assignment ${id}`, {
    fix: "See them with 'layercast assignment ls', or GET /v1/assignments.",
  })
}
