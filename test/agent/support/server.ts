/** A layercast server as far as one agent sees it, in this process, which can be made to answer anything else instead. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { KNOWN_HEADER } from '../../../functions/contract/own-node.ts'
import { toProblem } from '../../../functions/contract/problem.ts'
import { LayercastError, type Code } from '../../../functions/errors.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { digestOf } from '../../support/images/image.ts'

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** The server's own problem document of a code. */
export function problemAnswer(code: Code, headers: Record<string, string> = {}): Answer {
  return (response) => {
    const error = new LayercastError(code, `said by the server: ${code}`, { fix: 'Do that.' })
    response.writeHead(error.status, { 'content-type': 'application/problem+json', ...headers })
    response.end(JSON.stringify(toProblem(error, '/v1/x')))
  }
}

export async function agentsServer() {
  const state = {
    generation: 1,
    plans: [] as Planned[],
    /** What is answered instead, by `METHOD /path` or for all calls. */
    wrong: undefined as Answer | undefined,
    wrongOn: '',
    token: '',
    /** What it calls the state of what it knows; it says nothing where undefined. */
    known: undefined as string | undefined,
    /** Whether its answers have an ETag when they come to the agent. */
    etags: true,
    /** Whether it passes over what is reported. */
    older: false,
    calls: [] as string[],
    enrolments: [] as Array<{ name: string; enrolmentKey: string }>,
    reports: [] as Array<{
      generation: number
      plans: Array<{ digest: string; state: string; error?: { code: string } }>
    }>,
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const call = `${request.method} ${(request.url ?? '').replace(/sha256.*/, 'DIGEST').replace(/nodes\/\w+/, 'nodes/ID')}`
    const body = await text(request)
    state.calls.push(call)
    if (state.wrong !== undefined && (state.wrongOn === '' || state.wrongOn === call))
      return state.wrong(response, request)
    if (state.known !== undefined) response.setHeader(KNOWN_HEADER, state.known)
    const json = (status: number, value: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
    }
    if (call === 'POST /v1/nodes') {
      const { name, enrolmentKey } = JSON.parse(body) as { name: string; enrolmentKey: string }
      state.enrolments.push({ name, enrolmentKey })
      state.token = `lc_node_n1_${state.enrolments.length}`
      return json(state.enrolments.length === 1 ? 201 : 200, { id: 'n1', name, token: state.token })
    }
    if (request.headers.authorization !== `Bearer ${state.token}`)
      return problemAnswer('TOKEN_INVALID')(response, request)
    if (call === 'PUT /v1/nodes/ID/facts') {
      if (state.known !== undefined) response.setHeader(KNOWN_HEADER, (state.known = `${state.known}f`))
      return void response.writeHead(204).end()
    }
    if (call === 'POST /v1/node/report') {
      const report = JSON.parse(body) as (typeof state.reports)[number]
      state.reports.push(report)
      if (state.known !== undefined) response.setHeader(KNOWN_HEADER, (state.known = `${state.known}+`))
      const ignored = state.older ? report.plans.map(({ digest }) => ({ digest, reason: 'older' })) : []
      return json(200, { recorded: report.plans.length - ignored.length, ignored })
    }
    if (call === 'GET /v1/plans/DIGEST') {
      const planned = state.plans.find(({ digest }) => request.url?.endsWith(encodeURIComponent(digest)))
      if (planned === undefined) return problemAnswer('PLAN_NOT_FOUND')(response, request)
      response.writeHead(200, { 'content-type': 'application/vnd.layercast.plan.v1+json' })
      return void response.end(planned.bytes)
    }
    const plans = state.plans.map(({ digest, plan }) => ({
      digest,
      reference: plan.reference,
      snapshotter: plan.snapshotter,
    }))
    const own = { generation: state.generation, plans }
    const etag = `"${digestOf(JSON.stringify(own)).slice(7)}"`
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, { etag }).end()
    json(200, own, state.etags ? { etag } : {})
  }

  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

export type AgentsServer = Awaited<ReturnType<typeof agentsServer>>
