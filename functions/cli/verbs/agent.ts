/** `layercast agent` */

import type { AgentOptions } from '../../agent/agent.ts'
import type { AgentEvent, PlanOutcome, RoundResult } from '../../agent/events.ts'
import { CODES, LayercastError, type Code } from '../../errors.ts'
import type { Context } from '../program/context.ts'
import { table } from '../program/table.ts'
import { count, duration, lazyText, shortDigest } from '../program/text.ts'
import { keyValues, seconds } from '../program/values.ts'
import { verb } from '../program/verb.ts'
import { readTokenOption } from './shared/api-client.ts'
import { APPLIER, SERVER } from './shared/options.ts'

export const agentVerb = verb({
  path: ['agent'],
  group: 'Run a fleet',
  summary: 'make this machine a node of a fleet, and keep it as it is assigned',
  description:
    'The first time it needs a join token; then it keeps a token of its own. It asks for its assignment, ' +
    'carries out each plan that is not done, reports, and asks again, until it is stopped.',
  makesPlace: true,
  arguments: [],
  options: {
    server: SERVER,
    joinToken: {
      value: 'TOKEN',
      env: 'LAYERCAST_JOIN_TOKEN',
      summary: 'what the machine joins with, or @FILE to read it from a file; the first time only',
    },
    name: { value: 'NAME', summary: "what the node is called (default: the host's name)" },
    label: { value: 'KEY=VALUE', many: true, summary: 'what selectors choose the node by; sent when it joins' },
    state: {
      value: 'DIR',
      summary: 'where it keeps its token and what it last saw (default: /var/lib/layercast/agent)',
    },
    interval: { value: 'TIME', summary: 'between two rounds: 30s, 5m (default: 30s)' },
    applier: APPLIER,
    once: { summary: 'do one round and exit, with status 1 or above where a plan failed' },
  },
  examples: [
    {
      command: 'agent --server https://layercast.example --join-token @join.token --label pool=kata',
      summary: 'join, and go on',
    },
    { command: 'agent --once', summary: 'one round of a node that has joined, from cron say' },
  ],
  async run(context, { options }) {
    const { runAgent, runOnce } = await import('../../agent/agent.ts')
    const { openNodeBackend } = await import('../../agent/node-backend.ts')
    const agent: AgentOptions = {
      server: options.server,
      labels: keyValues('--label', options.label),
      signal: context.signal,
      onEvent: teller(context),
      joinToken: options.joinToken === undefined ? undefined : await readTokenOption(options.joinToken),
      name: options.name,
      stateDirectory: options.state,
      intervalMs: options.interval === undefined ? undefined : seconds('--interval', options.interval) * 1000,
      applier: options.applier,
      // Last, so that a mistyped option is told before a node that cannot be reached.
      backend: await openNodeBackend({
        open: (backend) => context.backend({ backend }),
        named: [context.globals.backend, context.globals.root, context.globals.address].some((it) => it !== undefined),
        stateDirectory: options.state,
        signal: context.signal,
        onWait: options.once ? undefined : (error, waitMs) => tell(context, { type: 'failed', error, waitMs }),
      }),
    }
    if (!options.once) return runAgent(agent)
    const result = await runOnce(agent)
    await context.show(result, () => roundText(result))
    const failed = result.plans.filter(({ state }) => state === 'failed')
    if (failed.length > 0) throw planFailure(failed)
  },
})

/** Writes events to stderr. A plan that stays ready is told once, and then only under --verbose, so that a log does not fill up. */
function teller(context: Context): (event: AgentEvent) => void {
  const ready = new Set<string>()
  return (event) => {
    if (event.type !== 'plan' || event.step !== 'done') return tell(context, event)
    const { outcome } = event
    const isKnown = ready.has(outcome.digest) && outcome.ready
    const note = (text: string): void => (isKnown ? context.detail(text) : context.note(text))
    note(outcomeText(outcome))
    for (const { code, detail } of outcome.warnings ?? []) note(`layercast: ${detail} (${code})`)
    if (outcome.error) ready.delete(outcome.digest)
    else ready.add(outcome.digest)
  }
}

function tell(context: Context, event: AgentEvent): void {
  if (event.type === 'enrolled') context.note(`joined ${event.server} as ${event.name} (${event.id})`)
  else if (event.type === 'assignment' && event.changed) {
    context.note(`generation ${event.generation}: ${count(event.plans, 'plan')}`)
  } else if (event.type === 'reported') context.detail(`reported on generation ${event.generation}`)
  else if (event.type === 'waiting') context.detail(`asking again in ${duration(event.waitMs)}`)
  else if (event.type === 'failed') {
    const why = event.error instanceof Error ? event.error.message : String(event.error)
    const fix =
      event.error instanceof LayercastError && event.error.fix !== undefined
        ? ` (${event.error.fix.replace(/\.$/u, '')})`
        : ''
    context.note(`layercast: ${why}${fix}; trying again in ${duration(event.waitMs)}`)
  }
}

function outcomeText({ reference, snapshotter, ready, lazy, error, durationMs }: PlanOutcome): string {
  if (error) return `${reference} under ${snapshotter}: failed: ${error.message} (${error.code})`
  return `${reference} under ${snapshotter}: ${ready ? 'is ready' : `made ready in ${duration(durationMs)}`}${lazy === undefined ? '' : `; lazy: ${lazyText(lazy)}`}`
}

function roundText({ plans, generation }: RoundResult): string {
  if (plans.length === 0) return `generation ${generation}: nothing is assigned to this node\n`
  return table(plans, [
    { title: 'IMAGE', value: ({ reference }) => reference },
    { title: 'SNAPSHOTTER', value: ({ snapshotter }) => snapshotter },
    { title: 'PLAN', value: ({ digest }) => shortDigest(digest) },
    { title: 'STATE', value: ({ state, ready }) => (ready ? 'was ready' : state) },
    { title: 'TIME', value: ({ durationMs }) => duration(durationMs), align: 'right' },
  ])
}

/** The error of a round in which plans failed. The first failed plan's code decides the exit status. */
function planFailure(failed: readonly PlanOutcome[]): LayercastError {
  const first = failed[0]?.error
  const code: Code = first !== undefined && first.code in CODES ? (first.code as Code) : 'INTERNAL'
  return new LayercastError(
    code,
    `${count(failed.length, 'plan')} failed, first: ${first?.message ?? 'with no reason given'}`,
    {
      fix: first?.fix,
      detail: { plans: failed.map(({ digest }) => digest) },
    },
  )
}
