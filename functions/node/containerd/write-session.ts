/** The Write stream of the daemon's content service. */
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { Code, ConnectError, type Client } from '@connectrpc/connect'
import {
  WriteContentRequestSchema,
  type Content,
  type WriteContentRequest,
  type WriteContentResponse,
} from './proto/gen/content_pb.js'

/** Sends one message at a time and waits for its answer: the daemon answers each message of the stream with one. */
export class WriteSession {
  readonly #abort = new AbortController()
  readonly #answers: AsyncIterator<WriteContentResponse>
  #next: PromiseWithResolvers<WriteContentRequest | undefined> = Promise.withResolvers()

  constructor(client: Client<typeof Content>) {
    this.#answers = client.write(this.#requests(), { signal: this.#abort.signal })[Symbol.asyncIterator]()
  }

  /** The daemon's answer to a message. Throws ConnectError. */
  async send(request: MessageInitShape<typeof WriteContentRequestSchema>): Promise<WriteContentResponse> {
    this.#next.resolve(create(WriteContentRequestSchema, request))
    const answer = await this.#answers.next()
    if (answer.done === true) throw new ConnectError('the write ended without an answer', Code.Internal)
    return answer.value
  }

  /** Ends the stream. The daemon then releases the ref; the next writer of the ref finds what was written. */
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
