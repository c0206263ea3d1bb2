/** The client of the HTTP API: one method per route, typed by the route, for Node and Workers alike. */
import { LayercastError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import type { Planned } from '../plan/document.ts'
import { parsePlan } from '../plan/parse.ts'
import { ask, call, readAnswer } from './call.ts'
import type { AnswerOf, ServerAccess, JsonOf } from './call.ts'
import { PLAN_TYPE } from './plans.ts'
import { ROUTES } from './routes.ts'

/** An image to plan: its documents as exact bytes, or the digests of documents that the server keeps. */
export type PlanRequest = JsonOf<typeof ROUTES.createPlans> | UploadRequest

type UploadRequest = Omit<JsonOf<typeof ROUTES.createPlans>, 'manifest' | 'config'> & {
  manifest: Uint8Array
  config: Uint8Array
}

interface Page {
  cursor?: string | undefined
  limit?: number | undefined
}

export type Client = ReturnType<typeof createClient>

/**
 * A client of the API at `to.server`. Every method throws the error that the server answered, with its code and fix, or
 * SERVER_UNREACHABLE where there was no answer.
 */
export function createClient(to: ServerAccess) {
  return { ...planCalls(to), ...operatorCalls(to), ...nodeCalls(to) }
}

/** Plans, the documents that they are made of, and what the server says of itself. */
function planCalls(to: ServerAccess) {
  return {
    health: () => ask(to, ROUTES.healthz),
    openapi: () => ask(to, ROUTES.openapi),
    snapshotters: () => ask(to, ROUTES.listSnapshotters),

    /** The plan for one snapshotter, as the server's canonical bytes; parsed and checked like any plan from outside. */
    plan: async (request: PlanRequest & { snapshotter: string }): Promise<Planned> => {
      const answer = await call(to, ROUTES.createPlans, { ...planArguments(request), headers: { accept: PLAN_TYPE } })
      return parsePlan(answer.bytes)
    },
    /** The plans for several snapshotters, in their order. */
    plans: async (request: PlanRequest): Promise<Planned[]> => {
      const { plans } = await ask(to, ROUTES.createPlans, planArguments(request))
      return plans.map(({ digest, plan }) => expectPlan(new TextEncoder().encode(JSON.stringify(plan)), digest))
    },
    /** A plan by its digest. DIGEST_MISMATCH if the server answers another plan. */
    getPlan: async (digest: string): Promise<Planned> => {
      const answer = await call(to, ROUTES.getPlan, { params: { digest }, headers: { accept: PLAN_TYPE } })
      return expectPlan(answer.bytes, digest)
    },

    /** Stores a manifest, index or config on the server, which checks the bytes against `digest` where it is given. */
    storeImage: (image: { bytes: Uint8Array; mediaType: string; digest?: string }) =>
      ask(to, ROUTES.storeImage, {
        body: image.bytes,
        headers: { 'content-type': image.mediaType },
        query: { digest: image.digest },
      }),
    getImage: async (digest: string): Promise<{ mediaType: string; bytes: Uint8Array }> => {
      const { headers, bytes } = await call(to, ROUTES.getImage, { params: { digest }, headers: { accept: '*/*' } })
      return { mediaType: headers.get('content-type') ?? '', bytes }
    },
  }
}

/** What an operator works with: join tokens, nodes and assignments. */
function operatorCalls(to: ServerAccess) {
  return {
    createJoinToken: (json: JsonOf<typeof ROUTES.createJoinToken> = {}) => ask(to, ROUTES.createJoinToken, { json }),
    joinTokens: (query: Page = {}) => ask(to, ROUTES.listJoinTokens, { query }),
    revokeJoinToken: async (id: string) => void (await call(to, ROUTES.revokeJoinToken, { params: { id } })),

    nodes: (query: Page = {}) => ask(to, ROUTES.listNodes, { query }),
    node: (id: string) => ask(to, ROUTES.getNode, { params: { id } }),
    removeNode: async (id: string) => void (await call(to, ROUTES.removeNode, { params: { id } })),

    assign: (json: JsonOf<typeof ROUTES.createAssignment>) => ask(to, ROUTES.createAssignment, { json }),
    assignments: (query: Page = {}) => ask(to, ROUTES.listAssignments, { query }),
    unassign: async (id: string) => void (await call(to, ROUTES.removeAssignment, { params: { id } })),
  }
}

/** What an agent calls for its node. */
function nodeCalls(to: ServerAccess) {
  return {
    enrol: (json: JsonOf<typeof ROUTES.enrolNode>) => ask(to, ROUTES.enrolNode, { json }),
    putFacts: async (id: string, json: JsonOf<typeof ROUTES.putFacts>) =>
      void (await call(to, ROUTES.putFacts, { params: { id }, json })),

    /**
     * The calling node's assignment with its ETag, or undefined where `etag` still names it. '' is no ETag: it asks for the
     * assignment in any case, and it is what the result has where a proxy took the header away.
     */
    ownAssignment: async (
      etag = '',
    ): Promise<(AnswerOf<typeof ROUTES.getOwnAssignment> & { etag: string }) | undefined> => {
      const headers = etag === '' ? {} : { 'if-none-match': etag }
      const answer = await call(to, ROUTES.getOwnAssignment, { headers })
      if (answer.status === 304) return undefined
      return { ...readAnswer(to, ROUTES.getOwnAssignment, answer), etag: answer.headers.get('etag') ?? '' }
    },
    report: (json: JsonOf<typeof ROUTES.postReport>) => ask(to, ROUTES.postReport, { json }),
  }
}

/** Every item of a list, page after page. A page is asked for when the items before it are taken. */
export async function* everyItem<T>(
  list: (page: Page) => Promise<{ items: T[]; nextCursor?: string | undefined }>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await list({ cursor })
    yield* page.items
    cursor = page.nextCursor
  } while (cursor !== undefined)
}

function planArguments(request: PlanRequest) {
  if (typeof request.manifest === 'string') return { json: request as JsonOf<typeof ROUTES.createPlans> }
  const { manifest, config, snapshotter, ...rest } = request as UploadRequest
  const form = new FormData()
  // Parts with a filename stay bytes. Parts without one are parsed as text, which may change bytes and so the digest.
  form.set('manifest', new Blob([manifest as BlobPart]), 'manifest.json')
  form.set('config', new Blob([config as BlobPart]), 'config.json')
  for (const name of [snapshotter].flat()) form.append('snapshotter', name)
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) form.set(name, value)
  return { body: form }
}

function expectPlan(bytes: Uint8Array, digest: string): Planned {
  const planned = parsePlan(bytes)
  if (planned.digest !== (digest as Digest)) {
    throw new LayercastError('DIGEST_MISMATCH', `the server answered plan ${planned.digest} where ${digest} was due`)
  }
  return planned
}
