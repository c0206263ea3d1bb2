import type { Client } from '../../contract/client.ts'
import type { Facts } from '../../contract/nodes.ts'
import type { Digest } from '../../image/digest.ts'
import { hasCode, LayercastError } from '../../image/errors.ts'
import type { Backend } from '../ports.ts'
import { systemFailure } from '../system/failure.ts'
import { checkAborted } from '../unpack/abort.ts'
import type { ApplierChoice } from '../unpack/index.ts'
import { carryOut, fetchPlan } from './carry-out.ts'
import type { AgentEvent, PlanOutcome, RoundResult } from './events.ts'
import type { Patience } from './patience.ts'
import type { KeptAssignment, State } from './state.ts'

/** What the contract takes. */
const MESSAGE_LIMIT = 2048
const REPORTS_AT_ONCE = 256

export interface RoundOptions {
  id: string
  client: Client
  state: State
  backend: Backend
  facts: Facts
  applier?: ApplierChoice | undefined
  /** Which plans have failed of late, and are left alone for a while. */
  patience: Patience
  signal: AbortSignal
  onEvent: (event: AgentEvent) => void
}

/**
 * One round: the facts where they changed, the assignment by conditional GET, each of its plans, and a report of what
 * the server does not know yet. Plans that are done cost a call or two, so that what was removed meanwhile is made again.
 */
export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const { state, client, signal, onEvent } = options
  await sendFacts(options)
  const { assignment, changed } = await readAssignment(client, state)
  // Whatever failed may go better now: the assignment is another one.
  if (changed) options.patience.forget()
  onEvent({ type: 'assignment', generation: assignment.generation, plans: assignment.plans.length, changed })
  const outcomes: PlanOutcome[] = []
  for (const assigned of assignment.plans) {
    checkAborted(signal)
    const outcome = await runPlan(options, assigned)
    if (outcome) outcomes.push(outcome)
  }
  const reported = await report(options, assignment, outcomes)
  await state.prunePlans(assignment.plans.map((plan) => plan.digest))
  return { generation: assignment.generation, changed, plans: outcomes, reported }
}

async function sendFacts({ id, client, state, facts }: RoundOptions): Promise<void> {
  const said = await state.said()
  const text = JSON.stringify(facts)
  if (said.facts === text) return
  await client.putFacts(id, facts)
  await state.keepSaid({ ...said, facts: text })
}

async function readAssignment(client: Client, state: State): Promise<{ assignment: KeptAssignment; changed: boolean }> {
  const kept = await state.assignment()
  const fresh = await client.ownAssignment(kept?.etag)
  if (fresh === undefined) {
    if (kept) return { assignment: kept, changed: false }
    throw new LayercastError('SERVER_FAILED', 'the server answered 304 to a request without an ETag')
  }
  await state.keepAssignment(fresh)
  return { assignment: fresh, changed: true }
}

async function runPlan(
  options: RoundOptions,
  assigned: { digest: Digest; reference: string; snapshotter: string },
): Promise<PlanOutcome | undefined> {
  const { client, state, backend, applier, patience, signal, onEvent } = options
  const { digest, reference, snapshotter } = assigned
  if (!patience.isDue(digest)) return undefined
  const started = performance.now()
  const outcome = (
    rest: Pick<PlanOutcome, 'state' | 'ready' | 'chainID' | 'lazy' | 'warnings' | 'error'>,
  ): PlanOutcome => {
    const made = { digest, reference, snapshotter, ...rest, durationMs: Math.round(performance.now() - started) }
    onEvent({ type: 'plan', step: 'done', outcome: made })
    return made
  }
  onEvent({ type: 'plan', step: 'started', digest, reference, snapshotter })
  try {
    const planned = await fetchPlan(client, state, digest)
    const { ready, chainID, lazy, warnings } = await carryOut(planned, {
      backend,
      applier,
      signal,
      onEvent: (event) => onEvent({ type: 'unpack', digest, event }),
    })
    patience.done(digest)
    return outcome({
      state: 'applied',
      ready,
      chainID,
      ...(lazy === undefined ? {} : { lazy }),
      ...(warnings.length === 0 ? {} : { warnings }),
    })
  } catch (error) {
    checkAborted(signal)
    // A server that cannot be asked for the plan is no failure of the plan: it ends the round.
    if (hasCode(error, 'SERVER_UNREACHABLE', 'TOKEN_INVALID')) throw error
    patience.failed(digest)
    return outcome({ state: 'failed', ready: false, error: tellable(error) })
  }
}

function tellable(error: unknown): NonNullable<PlanOutcome['error']> {
  const known = error instanceof LayercastError ? error : systemFailure(error)
  if (known === undefined) {
    return {
      code: 'INTERNAL',
      message: (error instanceof Error ? error.message : String(error)).slice(0, MESSAGE_LIMIT),
    }
  }
  const { code, message, fix } = known
  return { code, message: message.slice(0, MESSAGE_LIMIT), ...(fix === undefined ? {} : { fix }) }
}

/** Reports on the plans whose state the server does not have; and on none, once, where only the generation is new. */
async function report(
  { client, state, onEvent }: RoundOptions,
  { generation, plans }: KeptAssignment,
  outcomes: readonly PlanOutcome[],
): Promise<boolean> {
  const said = await state.said()
  const assigned = new Set<string>(plans.map((plan) => plan.digest))
  const reports = Object.fromEntries(Object.entries(said.reports).filter(([digest]) => assigned.has(digest)))
  const isNews = said.generation !== generation
  const news = outcomes.filter((outcome) => isNews || reports[outcome.digest] !== gist(outcome))
  if (news.length === 0 && !isNews) return false
  let recorded = 0
  // Where there is none, once all the same: the generation is news.
  for (let from = 0; from === 0 || from < news.length; from += REPORTS_AT_ONCE) {
    const answer = await client.report({ generation, plans: news.slice(from, from + REPORTS_AT_ONCE).map(reportOf) })
    recorded += answer.recorded
  }
  for (const outcome of news) reports[outcome.digest] = gist(outcome)
  await state.keepSaid({ ...(await state.said()), generation, reports })
  onEvent({ type: 'reported', generation, recorded })
  return true
}

function reportOf({ digest, state, chainID, lazy, error, durationMs }: PlanOutcome) {
  return {
    digest,
    state,
    durationMs,
    ...(chainID === undefined ? {} : { chainID }),
    ...(lazy === undefined ? {} : { lazy }),
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
  }
}

function gist({ state, lazy, error }: PlanOutcome): string {
  return JSON.stringify({ state, lazy, ...(error === undefined ? {} : { code: error.code, message: error.message }) })
}
