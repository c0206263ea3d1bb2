/** One round of the agent: ask for the assignment, carry out its plans, report. */
import { createHash } from 'node:crypto'
import type { Client } from '../contract/client.ts'
import type { Facts } from '../contract/nodes.ts'
import { hasCode, LayercastError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { checkAborted } from '../kit/abort.ts'
import { systemFailure } from '../linux/failure.ts'
import type { Backend } from '../node/ports.ts'
import type { Planned } from '../plan/document.ts'
import type { ApplierChoice } from '../runner/unpack/types.ts'
import { askedWait } from './backoff.ts'
import { carryOut, fetchPlan } from './carry-out.ts'
import { refusesNodeToken } from './dismissal.ts'
import type { AgentEvent, PlanOutcome, RoundResult } from './events.ts'
import type { Patience } from './patience.ts'
import type { KeptAssignment, Said, State } from './state.ts'

/** What the contract takes. */
const MESSAGE_LIMIT = 2048
const REPORTS_AT_ONCE = 256

export interface RoundOptions {
  id: string
  client: Client
  /** The server's name for its present knowledge of this node, from its last answer; undefined where it gave none. */
  known: () => string | undefined
  state: State
  backend: Backend
  facts: Facts
  applier?: ApplierChoice | undefined
  /** Which plans failed lately, and are not due yet. */
  patience: Patience
  signal: AbortSignal
  onEvent: (event: AgentEvent) => void
}

/**
 * Runs one round: reads the assignment by conditional GET, sends the facts where they changed, carries out each plan, and reports
 * what the server does not know yet. Plans that were carried out before are looked at again, for a call or two each, so that
 * what was removed meanwhile is made again. A server that was restored to an older state is told everything again, and its
 * present assignment holds.
 */
export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const { id, state, known, signal, onEvent } = options
  const { assignment, changed } = await readAssignment(options)
  const before = await state.said(id)
  const forgot = known() !== undefined && known() !== before.known
  const said = await sendFacts(options, forgot ? { node: id, reports: {} } : before, forgot)
  // With another assignment, what failed may succeed.
  if (changed) options.patience.forget()
  onEvent({ type: 'assignment', generation: assignment.generation, plans: assignment.plans.length, changed })
  const outcomes: PlanOutcome[] = []
  for (const assigned of assignment.plans) {
    checkAborted(signal)
    const outcome = await runPlan(options, assigned)
    if (outcome) outcomes.push(outcome)
  }
  const reported = await report(options, assignment, outcomes, said)
  await state.prunePlans(assignment.plans.map((plan) => plan.digest))
  return { generation: assignment.generation, changed, plans: outcomes, reported }
}

/** Sends the facts where the server does not have them. Its state is noted only once it has the reports too. */
async function sendFacts(
  { id, client, known, state, facts }: RoundOptions,
  said: Said,
  forgot: boolean,
): Promise<Said> {
  const text = JSON.stringify(facts)
  if (said.facts === text) return said
  await client.putFacts(id, facts)
  const now = { ...said, facts: text, ...(forgot ? {} : { known: known() }) }
  await state.keepSaid(now)
  return now
}

/** Reads the present assignment: the one that the server answers, also of a lower generation, as after a restore. */
async function readAssignment(options: RoundOptions): Promise<{ assignment: KeptAssignment; changed: boolean }> {
  const { id, client, state } = options
  const kept = await state.assignment(id)
  const fresh = await client.ownAssignment(kept?.etag)
  if (fresh === undefined) {
    if (kept) return { assignment: kept, changed: false }
    throw new LayercastError('SERVER_FAILED', 'the server answered 304 to a request without an ETag')
  }
  const assignment = { ...fresh, node: id }
  await state.keepAssignment(assignment)
  return { assignment, changed: kept === undefined || contentOf(kept) !== contentOf(assignment) }
}

/**
 * A hash over what an assignment says. The generation alone would not do, since a restored server gives out the same numbers again;
 * nor would the ETag, since a proxy may drop it.
 */
function contentOf({ generation, plans }: KeptAssignment): string {
  const told = plans.map(({ digest, reference, snapshotter }) => [digest, reference, snapshotter])
  return createHash('sha256')
    .update(JSON.stringify([generation, told]))
    .digest('hex')
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
  const failed = (error: unknown) => outcome({ state: 'failed', ready: false, error: tellable(error) })
  let planned: Planned
  try {
    planned = await fetchPlan(client, state, digest)
  } catch (error) {
    checkAborted(signal)
    // A server that cannot be asked is no failure of this plan: it ends the round.
    if (hasCode(error, 'SERVER_UNREACHABLE') || refusesNodeToken(error) || askedWait(error) !== undefined) throw error
    // The next round asks again: only failures that cost the node work are postponed.
    return failed(error)
  }
  try {
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
    patience.failed(digest)
    return failed(error)
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

/** Reports the plans whose state the server does not have. A new assignment without any is reported once, for its generation. */
async function report(
  { client, known, state, onEvent }: RoundOptions,
  assignment: KeptAssignment,
  outcomes: readonly PlanOutcome[],
  said: Said,
): Promise<boolean> {
  const { generation, plans } = assignment
  const content = contentOf(assignment)
  const assigned = new Set<string>(plans.map((plan) => plan.digest))
  const reports = Object.fromEntries(Object.entries(said.reports).filter(([digest]) => assigned.has(digest)))
  const isNews = said.assignment !== content
  const news = outcomes.filter((outcome) => isNews || reports[outcome.digest] !== gist(outcome))
  if (news.length === 0 && !isNews) return false
  let recorded = 0
  const ignored = new Set<Digest>()
  // Once also where there is none: the generation is new.
  for (let from = 0; from === 0 || from < news.length; from += REPORTS_AT_ONCE) {
    const answer = await client.report({ generation, plans: news.slice(from, from + REPORTS_AT_ONCE).map(reportOf) })
    recorded += answer.recorded
    for (const { digest } of answer.ignored) ignored.add(digest)
  }
  for (const outcome of news) {
    // The server ignored it and so does not know it: it is reported again.
    if (ignored.has(outcome.digest)) delete reports[outcome.digest]
    else reports[outcome.digest] = gist(outcome)
  }
  await state.keepSaid({ ...said, assignment: content, known: known(), reports })
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
