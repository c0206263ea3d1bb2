/** `layercast apply` */

import type { OperationEvent } from '../../runner/operation/events.ts'
import { readInput } from '../program/files.ts'
import { verb } from '../program/verb.ts'
import { tellOperation } from './shared/operation-events.ts'
import { APPLIER, DRY_RUN, FROM_SNAPSHOTTER, SEQUENTIAL, SOURCE } from './shared/options.ts'
import { dryRunPlan, unpackPlan } from './shared/unpack-operation.ts'

export const applyVerb = verb({
  path: ['apply'],
  group: 'Make images ready',
  summary: 'carry out a plan that was made elsewhere',
  description:
    'The plan is checked before anything is touched: its chain and labels are computed again, and where the node holds the ' +
    'manifest and the config, the whole plan is.',
  makesPlace: true,
  arguments: [{ name: 'PLAN', summary: "the plan document, as 'layercast plan -o json' prints it; - for stdin" }],
  options: {
    source: SOURCE,
    fromSnapshotter: FROM_SNAPSHOTTER,
    applier: APPLIER,
    sequential: SEQUENTIAL,
    dryRun: DRY_RUN,
  },
  examples: [
    { command: 'apply plan.json', summary: 'a plan from a file' },
    { command: 'apply - < plan.json', summary: 'from stdin' },
  ],
  async run(context, { args, options }) {
    const { parsePlan } = await import('../../plan/parse.ts')
    const { checkDerived } = await import('../../runner/images/derived.ts')
    const planned = parsePlan(await readInput(context, args.PLAN))
    const backend = await context.backend()
    // A dry run fetches nothing in the place of damaged documents, since it changes nothing.
    const onEvent = (event: OperationEvent): void => tellOperation(context, event)
    const healing = options.dryRun ? {} : { sources: options.source, signal: context.signal, onEvent }
    await checkDerived(backend, planned.plan, healing)
    if (options.dryRun) return dryRunPlan(context, planned, { ...options, fromSource: false })
    await unpackPlan(context, planned, options)
  },
})
