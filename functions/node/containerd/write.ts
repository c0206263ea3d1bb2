/** Writes a blob into the content store of the daemon. */
import { Code, ConnectError, type Client } from '@connectrpc/connect'
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { jittered, pause } from '../../kit/pause.ts'
import type { Labels } from '../ports.ts'
import { rechunk } from './chunks.ts'
import type { Connection } from './connection.ts'
import { answered } from './errors.ts'
import { Content, WriteAction } from './proto/gen/content_pb.js'
import { WriteSession } from './write-session.ts'

// Below the 4 MiB that a gRPC server accepts in a message by default.
const CHUNK = 1 << 20
// A writer of the same blob that has written nothing for so long counts as hung.
const STALLED_MS = 60_000

type Expected = Pick<Descriptor, 'digest' | 'size'>

/**
 * Stores a blob through the Write stream. `exists` where the blob was there, or another writer was first. All writers of a digest
 * use the same ref: so they wait for each other, and a writer takes over what a dead one left.
 *
 * Throws DIGEST_MISMATCH where the data is not what was expected. Then, and where `data` throws, nothing of it stays in the store.
 *
 * @param makeRoom for `replaceBlob`: removes the damaged blob of this digest. Called when the daemon has all bytes, so that the
 *   blob is missing for the shortest time; the caller checks the data before that.
 */
export async function writeBlob(
  connection: Connection,
  expected: Expected,
  data: AsyncIterable<Uint8Array>,
  labels: Labels,
  makeRoom?: () => Promise<void>,
): Promise<'written' | 'exists'> {
  try {
    return await new BlobWriter(connection, expected, makeRoom).write(data, labels)
  } catch (error) {
    // An error of `data` is passed on as it is.
    if (!(error instanceof ConnectError)) throw error
    if (answered(error) === Code.FailedPrecondition) throw refused(expected, error)
    throw connection.error(error, `write blob ${expected.digest}`)
  }
}

class BlobWriter {
  readonly #client: Client<typeof Content>
  readonly #expected: Expected
  readonly #ref: string
  readonly #makeRoom: (() => Promise<void>) | undefined

  constructor(connection: Connection, expected: Expected, makeRoom: (() => Promise<void>) | undefined) {
    this.#client = connection.client(Content)
    this.#expected = expected
    this.#ref = makeRoom === undefined ? `layercast-${expected.digest}` : `layercast-replace-${expected.digest}`
    this.#makeRoom = makeRoom
  }

  async write(data: AsyncIterable<Uint8Array>, labels: Labels): Promise<'written' | 'exists'> {
    const taken = await this.#open()
    if (taken === 'exists') return 'exists'
    // All bytes are there already: another namespace has the blob, or a writer died just before its commit.
    if (taken.offset === this.#expected.size && this.#expected.size > 0 && this.#makeRoom === undefined) {
      const result = await this.#commit(taken.session, labels)
      if (result !== 'refused') return result
      const again = await this.#open()
      return again === 'exists' ? 'exists' : this.#fill(again.session, data, labels)
    }
    return this.#fill(taken.session, data, labels)
  }

  /** Commits the bytes that are there; `refused` where they are not the blob. */
  async #commit(session: WriteSession, labels: Labels): Promise<'written' | 'exists' | 'refused'> {
    try {
      await session.send({ action: WriteAction.COMMIT, offset: BigInt(this.#expected.size), labels })
      return 'written'
    } catch (error) {
      const code = answered(error)
      if (code === Code.AlreadyExists) return 'exists'
      if (code === Code.FailedPrecondition) return 'refused'
      throw error
    } finally {
      session.cancel()
    }
  }

  async #fill(session: WriteSession, data: AsyncIterable<Uint8Array>, labels: Labels): Promise<'written' | 'exists'> {
    const { digest, size } = this.#expected
    let offset = 0
    try {
      for await (const chunk of rechunk(data, CHUNK)) {
        if (offset + chunk.length > size) throw mismatch(this.#expected, `it is longer than ${size} bytes`)
        // The first message, at offset 0, makes the daemon drop what a dead writer left.
        await session.send({ action: WriteAction.WRITE, offset: BigInt(offset), data: chunk })
        offset += chunk.length
      }
      await this.#makeRoom?.()
      const expected = this.#makeRoom === undefined ? '' : digest
      await session.send({ action: WriteAction.COMMIT, offset: BigInt(offset), expected, labels })
      return 'written'
    } catch (error) {
      if (answered(error) === Code.AlreadyExists) return 'exists'
      // An error that the daemon answered has ended the stream and released the ref. An error on this side has not. Without a
      // connection nothing can be done: the garbage collector drops an unfinished write after a day.
      if (answered(error) !== undefined) await this.#discard(undefined, error)
      else if (!(error instanceof ConnectError)) await this.#discard(session, error)
      throw error
    } finally {
      session.cancel()
    }
  }

  /**
   * Removes what was written. It holds the ref while it does so: the next writer of this blob may be waiting for the ref, and its
   * bytes must not be removed. A failure is thrown together with `error`, which made this necessary.
   */
  async #discard(held: WriteSession | undefined, error: unknown): Promise<void> {
    let session = held
    try {
      if (session === undefined) {
        session = new WriteSession(this.#client)
        await this.#greet(session)
      }
      await this.#client.abort({ ref: this.#ref })
    } catch (failure) {
      // Unavailable: another writer has the ref now, and starts at offset 0. The other codes: there is nothing to remove.
      const code = answered(failure)
      if (code === Code.Unavailable || code === Code.AlreadyExists || code === Code.NotFound) return
      const message = `cannot discard what was written of blob ${this.#expected.digest}`
      throw new LayercastError('CONTAINERD_FAILED', message, {
        cause: new AggregateError([error, failure], message, { cause: failure }),
      })
    } finally {
      session?.cancel()
    }
  }

  /** Takes the ref. Waits while another writer of it makes progress. */
  async #open(): Promise<{ session: WriteSession; offset: number } | 'exists'> {
    let seen = -1n
    let since = performance.now()
    for (let waitMs = 10; ; waitMs = Math.min(waitMs * 2, 500)) {
      const session = new WriteSession(this.#client)
      try {
        return { session, offset: Number((await this.#greet(session)).offset) }
      } catch (error) {
        session.cancel()
        const code = answered(error)
        if (code === Code.AlreadyExists) return 'exists'
        if (code !== Code.Unavailable) throw error
        const offset = await this.#progress()
        if (offset !== seen) {
          seen = offset
          since = performance.now()
        } else if (performance.now() - since > STALLED_MS) throw error
      }
      await pause(jittered(waitMs, 0.5))
    }
  }

  #greet(session: WriteSession): ReturnType<WriteSession['send']> {
    const { digest, size } = this.#expected
    // The daemon refuses to begin a write with the digest of a blob that it has.
    const expected = this.#makeRoom === undefined ? digest : ''
    return session.send({ action: WriteAction.STAT, ref: this.#ref, total: BigInt(size), expected })
  }

  /** How many bytes the writer that has the ref has written. */
  async #progress(): Promise<bigint> {
    try {
      return (await this.#client.status({ ref: this.#ref })).status?.offset ?? 0n
    } catch (error) {
      if (answered(error) === Code.NotFound) return 0n
      throw error
    }
  }
}

function refused(expected: Expected, cause: ConnectError): LayercastError {
  const [algorithm] = expected.digest.split(':')
  const hashed = /unexpected commit digest (\w+):/.exec(cause.rawMessage)?.[1]
  if (hashed === undefined || hashed === algorithm) return mismatch(expected, 'it has another digest or size', cause)
  return new LayercastError('CONTAINERD_FAILED', `this containerd cannot store blob ${expected.digest}`, {
    cause,
    fix: 'Use containerd 2.3 or newer: older ones know content by its sha256 digest only.',
    detail: { digest: expected.digest },
  })
}

function mismatch(expected: Expected, how: string, cause?: unknown): LayercastError {
  return new LayercastError('DIGEST_MISMATCH', `the data given is not blob ${expected.digest}: ${how}`, {
    cause,
    fix: 'Fetch the blob again from a source that has it whole.',
    detail: { digest: expected.digest, size: expected.size },
  })
}
