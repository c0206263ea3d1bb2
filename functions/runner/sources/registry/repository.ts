import { LayercastError } from '../../../errors.ts'
import { authorize } from './auth.ts'
import { findCredentials, type Credentials } from './credentials.ts'
import { lineTo } from './host-client.ts'
import type { RegistryHost } from './hosts.ts'
import type { Ask } from './http-client.ts'
import { transport, type Send } from './transport.ts'

/** One repository at one host of a registry, asked with the authorization that the host wants. */
export class Repository {
  readonly #host: RegistryHost
  readonly #registry: string
  readonly #path: string
  readonly #stop = new AbortController()
  readonly #line: ReturnType<typeof lineTo>
  readonly #send: Send
  #credentials: Promise<Credentials | undefined> | undefined
  #authorization: Promise<string> | undefined

  /**
   * @param registry the domain that the image's name has, which a mirror is told
   * @param path of the repository, `library/nginx`
   */
  constructor(host: RegistryHost, registry: string, path: string) {
    this.#host = host
    this.#registry = registry
    this.#path = path
    this.#line = lineTo(host)
    this.#send = transport(this.#line.exchange, this.#stop.signal)
  }

  get pulls(): boolean {
    return this.#host.pull
  }

  get resolves(): boolean {
    return this.#host.pull && this.#host.resolve
  }

  /** The URL of something in this repository: `blobs/sha256:...`. */
  url(path: string): URL {
    const url = new URL(`${this.#host.base.href}${this.#path}/${path}`)
    if (this.#host.mirror) url.searchParams.set('ns', this.#registry)
    return url
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
    this.#stop.abort(new LayercastError('ABORTED', `the source docker://${this.#registry} was closed`))
    this.#line.close()
  }

  async #logIn(response: Response, url: URL): Promise<string> {
    this.#credentials ??= findCredentials(this.#host.domain, this.#path)
    return authorize(
      response,
      { url, scope: `repository:${this.#path}:pull`, base: this.#host.base },
      await this.#credentials,
      this.#send,
    )
  }
}
