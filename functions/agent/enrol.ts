/** Enrols this machine as a node at a server. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { baseOf } from '../contract/call.ts'
import { createClient } from '../contract/client.ts'
import type { Facts } from '../contract/nodes.ts'
import { Dismissal, ofEnrolment } from './dismissal.ts'
import type { NodeEntry, State } from './state.ts'

/** A node as the server knows it, with the token that it calls with. */
export interface Enrolled {
  id: string
  name: string
  token: string
}

export interface EnrolOptions {
  state: State
  server: string
  /** Needed where the node is not enrolled at this server. */
  joinToken?: string | undefined
  /** The host's name by default. */
  name?: string | undefined
  labels?: Record<string, string> | undefined
  facts: () => Promise<Facts>
  fetch?: typeof globalThis.fetch | undefined
  signal: AbortSignal
}

/** The node's enrolment at this server: the kept one, or a new one by join token. TOKEN_MISSING where there is neither. */
export async function enrolment(options: EnrolOptions): Promise<Enrolled> {
  const { state, server } = options
  const kept = await state.identity()
  if (isOf(kept, server) && kept.id !== undefined && kept.token !== undefined) {
    checkUnchanged(kept, options)
    return { id: kept.id, name: kept.name, token: kept.token }
  }
  return await enrol(options)
}

/**
 * Enrols at the server. To ask again with the same key gives the same node a new token. The kept enrolment stays on the disk until
 * the new one replaces it. A Dismissal where there is no join token or the server refuses it; NODE_EXISTS, and what else the server
 * answers.
 */
export async function enrol(options: EnrolOptions): Promise<Enrolled> {
  const { state, server, joinToken, labels = {}, fetch, signal } = options
  const kept = await state.identity()
  const known = isOf(kept, server) ? kept : undefined
  const name = options.name ?? known?.name ?? hostname()
  if (joinToken === undefined) {
    throw new Dismissal('TOKEN_MISSING', `this machine is not a node of ${server}`, {
      fix: 'Give a join token: an operator makes one with `layercast join-token create`, and it goes into --join-token.',
    })
  }
  const entry = await keepEntry(state, server, name)
  const client = createClient({ server, token: joinToken, fetch, signal })
  try {
    const facts = await options.facts()
    const { id, token } = await client.enrol({ name, enrolmentKey: entry.enrolmentKey, labels, facts })
    await state.keepIdentity({ ...entry, id, token, labels, backend: facts.backend })
    return { id, name, token }
  } catch (error) {
    throw ofEnrolment(error)
  }
}

/** Whether an enrolment is at this server. A slash at the end of the address makes no difference. */
function isOf<T extends { server: string }>(kept: T | undefined, server: string): kept is T {
  return kept !== undefined && baseOf(kept.server).href === baseOf(server).href
}

/** A node keeps the name and labels that it joined with: other ones are an error, and not ignored. */
function checkUnchanged(
  kept: { name: string; labels?: Record<string, string> | undefined },
  options: EnrolOptions,
): void {
  const { name, labels = {} } = options
  const fix = `Leave it out; or remove the node (layercast node rm ${kept.name}), and let it join again with a join token.`
  if (name !== undefined && name !== kept.name) {
    throw new Dismissal('FAILED_PRECONDITION', `this machine has joined as ${kept.name}, and --name says ${name}`, {
      fix,
    })
  }
  const before = kept.labels
  // Older agents kept no labels.
  if (before === undefined || Object.keys(labels).length === 0) return
  const differs = [...new Set([...Object.keys(before), ...Object.keys(labels)])].filter(
    (key) => before[key] !== labels[key],
  )
  if (differs.length === 0) return
  throw new Dismissal(
    'FAILED_PRECONDITION',
    `this machine has joined with other labels than --label says: ${differs.toSorted().join(', ')}`,
    { fix },
  )
}

/** Keeps what this machine enrols with on the disk before the server is asked, so that it asks with the same again after a crash. */
async function keepEntry(state: State, server: string, name: string): Promise<NodeEntry> {
  const kept = await state.identity()
  for (const known of [kept, kept?.next]) {
    if (isOf(known, server) && known.name === name) return { server, name, enrolmentKey: known.enrolmentKey }
  }
  const entry = { server, name, enrolmentKey: randomBytes(32).toString('base64url') }
  await state.keepIdentity(kept?.token === undefined ? entry : { ...kept, next: entry })
  return entry
}
