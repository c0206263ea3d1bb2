/** One repository at one host of a registry. */
import { LayercastError } from '../../../errors.ts'
import { authorizationFor } from './auth.ts'
import { findCredentials, type Credentials } from './credentials.ts'
import { createHostClient } from './host-client.ts'
import type { RegistryHost } from './hosts.ts'
import type { HttpClient, RegistryRequest } from './http-client.ts'
import { transport, type Send } from './transport.ts'

/** Requests to the repository, with the authorization that the host asks for. */
export class Repository {
  readonly #host: RegistryHost
  readonly #registry: string
  readonly #path: string
  readonly #stop = new AbortController()
  readonly #client: HttpClient
  readonly #send: Send
  #credentials: Promise<Credentials | undefined> | undefined
  #authorization: Promise<string> | undefined

  /**
   * @param registry the domain in the image's name: a mirror is told which registry it stands for
   * @param path of the repository, `library/nginx`
   */
  constructor(host: RegistryHost, registry: string, path: string) {
    this.#host = host
    this.#registry = registry
    this.#path = path
    this.#client = createHostClient(host)
    this.#send = transport(this.#client.exchange, this.#stop.signal)
  }

  /** Whether blobs may be fetched from this host. */
  get pulls(): boolean {
    return this.#host.pull
  }

  /** Whether this host may say what a tag points to. */
  get resolves(): boolean {
    return this.#host.pull && this.#host.resolve
  }

  /** The URL of something in this repository: `blobs/sha256:...`. */
  url(path: string): URL {
    const url = new URL(`${this.#host.base.href}${this.#path}/${path}`)
    if (this.#host.mirror) url.searchParams.set('ns', this.#registry)
    return url
  }

  /** GET or HEAD. Logs in where the registry asks for it, and once more where the token has expired. */
  async request(path: string, init: RegistryRequest = {}): Promise<Response> {
    const url = this.url(path)
    for (let logins = 0; ; logins++) {
      const used = this.#authorization
      const authorization = await used
      const headers = new Headers(init.headers)
      if (authorization !== undefined) headers.set('authorization', authorization)
      const response = await this.#send(url, { ...init, headers })
      if (response.status !== 401 || logins >= 2) return response
      // Of several requests that are refused at the same time, the first one logs in.
      if (this.#authorization === used) this.#authorization = this.#logIn(response, url)
      else await response.body?.cancel()
    }
  }

  /** Aborts the requests that are running. */
  close(): void {
    this.#stop.abort(new LayercastError('ABORTED', `the source docker://${this.#registry} was closed`))
    this.#client.close()
  }

  async #logIn(response: Response, url: URL): Promise<string> {
    this.#credentials ??= findCredentials(this.#host.domain, this.#path)
    return authorizationFor(
      response,
      { url, scope: `repository:${this.#path}:pull`, base: this.#host.base },
      await this.#credentials,
      this.#send,
    )
  }
}
