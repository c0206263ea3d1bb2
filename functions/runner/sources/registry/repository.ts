import { LayercastError } from '../../../image/errors.ts'
import { parseReference } from '../../../image/reference.ts'
import { authorize } from './auth.ts'
import { findCredentials, type Credentials } from './credentials.ts'
import { exchangeOver, type Ask } from './exchange.ts'
import { apiBase } from './host.ts'
import { transport, type Send } from './transport.ts'

/** One repository of a registry, asked with the authorization that it wants. */
export class Repository {
  readonly #base: URL
  readonly #scope: string
  readonly #domain: string
  readonly #path: string
  readonly #stop = new AbortController()
  readonly #line = exchangeOver()
  readonly #send: Send = transport(this.#line.exchange, this.#stop.signal)
  #credentials: Promise<Credentials | undefined> | undefined
  #authorization: Promise<string> | undefined

  constructor(reference: string) {
    const { domain, path } = parseReference(reference)
    if (domain === '') {
      throw new LayercastError('REFERENCE_INVALID', `the reference ${reference} names no registry`, {
        fix: 'Write docker://HOST/NAME:TAG.',
      })
    }
    this.#domain = domain
    this.#path = path
    this.#base = new URL(`${path}/`, apiBase(domain))
    this.#scope = `repository:${path}:pull`
  }

  /** The URL of something in this repository: `blobs/sha256:...`. */
  url(path: string): URL {
    return new URL(`${this.#base.href}${path}`)
  }

  /** GET or HEAD; logs in when the registry asks for it, and once more when what it gave has run out. */
  async request(path: string, init: Ask = {}): Promise<Response> {
    const url = this.url(path)
    for (let logins = 0; ; logins++) {
      const used = this.#authorization
      const authorization = await used
      const headers = new Headers(init.headers)
      if (authorization !== undefined) headers.set('authorization', authorization)
      const response = await this.#send(url, { ...init, headers })
      if (response.status !== 401 || logins >= 2) return response
      // Several requests at once meet the same refusal: the first of them logs in.
      if (this.#authorization === used) this.#authorization = this.#logIn(response, url)
      else await response.body?.cancel()
    }
  }

  /** Ends all that is going on. */
  close(): void {
    this.#stop.abort(new LayercastError('ABORTED', `the source docker://${this.#domain} was closed`))
    this.#line.close()
  }

  async #logIn(response: Response, url: URL): Promise<string> {
    this.#credentials ??= findCredentials(this.#domain, this.#path)
    return authorize(response, url, this.#scope, await this.#credentials, this.#send)
  }
}
