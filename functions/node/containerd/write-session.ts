import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { Code, ConnectError, type Client } from '@connectrpc/connect'
import {
  WriteContentRequestSchema,
  type Content,
  type WriteContentRequest,
  type WriteContentResponse,
} from './proto/gen/content_pb.js'

/** The Write stream as questions and answers, one at a time: the daemon answers every message with one of its own. */
export class WriteSession {
  readonly #abort = new AbortController()
  readonly #answers: AsyncIterator<WriteContentResponse>
  #next: PromiseWithResolvers<WriteContentRequest | undefined> = Promise.withResolvers()

  constructor(client: Client<typeof Content>) {
    this.#answers = client.write(this.#requests(), { signal: this.#abort.signal })[Symbol.asyncIterator]()
  }

  async send(request: MessageInitShape<typeof WriteContentRequestSchema>): Promise<WriteContentResponse> {
    this.#next.resolve(create(WriteContentRequestSchema, request))
    const answer = await this.#answers.next()
    if (answer.done === true) throw new ConnectError('the write ended without an answer', Code.Internal)
    return answer.value
  }

  /** Ends the stream. The daemon then lets go of the ref; what was written stays for whoever comes next. */
  cancel(): void {
    this.#next.resolve(undefined)
    this.#abort.abort()
  }

  async *#requests(): AsyncGenerator<WriteContentRequest> {
    for (;;) {
      const request = await this.#next.promise
      if (request === undefined) return
      this.#next = Promise.withResolvers()
      yield request
    }
  }
}
