import { ROUTES } from '../../contract/routes.ts'
import { parseSelector } from '../../contract/selector.ts'
import { LayercastError } from '../../errors.ts'
import type { App } from '../app.ts'
import { FLEET } from '../env.ts'
import { theFleet } from '../fleet/stub.ts'
import { findAssignment, listAssignments } from '../store/assignments.ts'
import { keepPlans, missingPlans } from '../store/plans.ts'
import { imageFor } from '../store/visible.ts'
import { keptDocuments, makePlans } from './make-plans.ts'

export function mountAssignments(app: App): void {
  app.openapi(ROUTES.createAssignment, async (c) => {
    const request = c.req.valid('json')
    const selector = parseSelector(request.selector)
    let plans: string[]
    if ('plans' in request) {
      plans = [...new Set(request.plans)]
      const [missing] = await missingPlans(c.env.DB, FLEET, plans)
      if (missing !== undefined) {
        throw new LayercastError('PLAN_NOT_FOUND', `no plan ${missing} is kept here`, {
          fix: 'Make it first, with POST /v1/plans.',
          detail: { digest: missing },
        })
      }
    } else {
      const read = (digest: string) => imageFor(c.env.DB, FLEET, c.get('caller'), digest)
      const made = makePlans(await keptDocuments(request.image, read), request.image)
      await keepPlans(c.env.DB, FLEET, made)
      plans = [...new Set(made.map(({ digest }) => digest))]
    }
    const id = await theFleet(c.env).assign({ fleet: FLEET, selector, plans })
    const assignment = await findAssignment(c.env.DB, FLEET, id)
    if (assignment === undefined) throw noAssignment(id)
    return c.json(assignment, 201)
  })

  app.openapi(ROUTES.listAssignments, async (c) =>
    c.json(await listAssignments(c.env.DB, FLEET, c.req.valid('query')), 200),
  )

  app.openapi(ROUTES.removeAssignment, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await theFleet(c.env).unassign(FLEET, id))) throw noAssignment(id)
    return c.body(null, 204)
  })
}

function noAssignment(id: string): LayercastError {
  return new LayercastError('ASSIGNMENT_NOT_FOUND', `there is no assignment ${id}`, {
    fix: "See them with 'layercast assignment ls', or GET /v1/assignments.",
  })
}
