/** The node agent: enrols the node, then carries out its assignment and reports, in rounds. */
import { baseOf } from '../contract/call.ts'
import { createClient } from '../contract/client.ts'
import { KNOWN_HEADER } from '../contract/own-node.ts'
import { asAborted, checkAborted } from '../kit/abort.ts'
import { jittered, pause } from '../kit/pause.ts'
import type { Backend } from '../node/ports.ts'
import type { ApplierChoice } from '../runner/unpack/types.ts'
import { Backoff } from './backoff.ts'
import { Dismissal, refusesNodeToken } from './dismissal.ts'
import { enrol, enrolment, type Enrolled, type EnrolOptions } from './enrol.ts'
import type { AgentEvent, RoundResult } from './events.ts'
import { gatherNodeFacts } from './facts.ts'
import { lockState } from './lock.ts'
import { Patience } from './patience.ts'
import { runRound } from './round.ts'
import { DEFAULT_STATE_DIRECTORY, State } from './state.ts'

const INTERVAL_MS = 30_000

export interface AgentOptions {
  backend: Backend
  server: string
  /** Has the node's token (mode 0600), its assignment and its plans. */
  stateDirectory?: string | undefined
  /** Needed the first time, and again when an operator has removed the node. */
  joinToken?: string | undefined
  /** What the node is called; the host's name where absent. */
  name?: string | undefined
  /** What selectors choose the node by. Sent when it enrols. */
  labels?: Record<string, string>
  applier?: ApplierChoice | undefined
  /** Between two rounds, give or take a fifth. 30 s. */
  intervalMs?: number | undefined
  signal?: AbortSignal
  onEvent?: (event: AgentEvent) => void
  fetch?: typeof globalThis.fetch
}

/**
 * Enrols where needed, does one round and returns its result. A plan that fails is a result, not an error.
 * TOKEN_*, SERVER_*, CONTAINERD_UNREACHABLE (before any plan), ABORTED; USAGE for a server that is no address.
 */
export async function runOnce(options: AgentOptions): Promise<RoundResult> {
  const agent = await start(options)
  try {
    return await agent.round()
  } finally {
    agent.close()
  }
}

/**
 * Does rounds until the signal fires, with a jittered wait between two. After a round that failed, for whatever reason (wrong answers,
 * a full disk, a daemon that is away), the wait is longer each time. Returns after an abort. Throws where there is no token to begin
 * with (TOKEN_MISSING) or the server itself refuses it (TOKEN_INVALID and the like), and USAGE for a server that is no address.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { signal = new AbortController().signal, intervalMs = INTERVAL_MS, onEvent } = options
  baseOf(options.server)
  let agent: Agent | undefined
  const backoff = new Backoff()
  try {
    while (!signal.aborted) {
      let waitMs = jittered(intervalMs)
      try {
        agent ??= await start(options)
        await agent.round()
        backoff.succeeded()
        onEvent?.({ type: 'waiting', waitMs })
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof Dismissal) throw error
        waitMs = backoff.failed(error)
        onEvent?.({ type: 'failed', error, waitMs })
      }
      await pause(waitMs, signal)
    }
  } finally {
    agent?.close()
  }
}

interface Agent {
  round(): Promise<RoundResult>
  /** Unlocks the state directory. */
  close(): void
}

async function start(options: AgentOptions): Promise<Agent> {
  checkAborted(options.signal ?? new AbortController().signal)
  const directory = options.stateDirectory ?? DEFAULT_STATE_DIRECTORY
  const state = await State.open(directory)
  const lock = lockState(directory)
  try {
    return { round: await enter(options, state), close: () => lock.release() }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Enrols where needed, and returns the function that does a round. */
async function enter(options: AgentOptions, state: State): Promise<Agent['round']> {
  const { backend, server, joinToken, name, labels, fetch, applier } = options
  const { signal = new AbortController().signal, onEvent = () => undefined } = options
  const patience = new Patience()
  const facts = () => gatherNodeFacts(backend)
  const entry: EnrolOptions = { state, server, joinToken, name, labels, facts, fetch, signal }
  const welcome = (enrolled: Enrolled): Enrolled => {
    onEvent({ type: 'enrolled', id: enrolled.id, name: enrolled.name, server })
    return enrolled
  }
  const kept = await state.identity()
  let self = await enrolment(entry)
  if (kept?.token !== self.token) welcome(self)

  const once = async (): Promise<RoundResult> => {
    let known: string | undefined
    const onAnswer = (headers: Headers) => {
      known = headers.get(KNOWN_HEADER) ?? undefined
    }
    const client = createClient({ server, token: self.token, fetch, signal, onAnswer })
    const { id } = self
    const common = { id, client, known: () => known, state, backend, applier, patience, signal, onEvent }
    return await runRound({ ...common, facts: await facts() })
  }
  return async () => {
    try {
      return await once()
    } catch (error) {
      if (signal.aborted || !refusesNodeToken(error)) throw asAborted(error, signal)
      if (joinToken === undefined) throw forgotten(server, error)
      // With a join token at hand, this machine may become a node again.
      self = welcome(await enrol(entry))
      return await once()
    }
  }
}

function forgotten(server: string, cause: unknown): Dismissal {
  return new Dismissal('TOKEN_INVALID', `${server} does not know this node, or not any more`, {
    cause,
    fix: 'Where an operator removed it, let it join again: give --join-token with what `layercast join-token create` prints.',
  })
}
