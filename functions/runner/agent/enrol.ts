import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createClient } from '../../contract/client.ts'
import type { Facts } from '../../contract/nodes.ts'
import { Dismissal, ofEnrolment } from './dismissal.ts'
import type { Entry, State } from './state.ts'

/** A node as the server knows it, with the token that it calls with. */
export interface Enrolled {
  id: string
  name: string
  token: string
}

export interface EnrolOptions {
  state: State
  server: string
  /** Without one a node that is not enrolled at this server cannot become it. */
  joinToken?: string | undefined
  /** The host's name where absent. */
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
  if (kept?.server === server && kept.id !== undefined && kept.token !== undefined) {
    return { id: kept.id, name: kept.name, token: kept.token }
  }
  return await enrol(options)
}

/**
 * Becomes a node of the server, or asks again with the same key, which gives the same node a new token. The enrolment that
 * is kept stays so until the new one has taken its place on the disk. A Dismissal where there is no join token or the server
 * refuses it, NODE_EXISTS and whatever else the server says.
 */
export async function enrol(options: EnrolOptions): Promise<Enrolled> {
  const { state, server, joinToken, labels = {}, fetch, signal } = options
  const kept = await state.identity()
  const known = kept?.server === server ? kept : undefined
  const name = options.name ?? known?.name ?? hostname()
  if (joinToken === undefined) {
    throw new Dismissal('TOKEN_MISSING', `this machine is not a node of ${server}`, {
      fix: 'Give a join token: an operator makes one with `layercast join-token create`, and it goes into --join-token.',
    })
  }
  const entry = await keepEntry(state, server, name)
  const client = createClient({ server, token: joinToken, fetch, signal })
  try {
    const { id, token } = await client.enrol({
      name,
      enrolmentKey: entry.enrolmentKey,
      labels,
      facts: await options.facts(),
    })
    await state.keepIdentity({ ...entry, id, token })
    return { id, name, token }
  } catch (error) {
    throw ofEnrolment(error)
  }
}

/** What this machine enrols with, on the disk before the server hears of it: the same as the last time it asked. */
async function keepEntry(state: State, server: string, name: string): Promise<Entry> {
  const kept = await state.identity()
  for (const known of [kept, kept?.next]) {
    if (known?.server === server && known.name === name) return { server, name, enrolmentKey: known.enrolmentKey }
  }
  const entry = { server, name, enrolmentKey: randomBytes(32).toString('base64url') }
  await state.keepIdentity(kept?.token === undefined ? entry : { ...kept, next: entry })
  return entry
}
