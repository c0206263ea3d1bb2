/** A client of a Kubernetes API server. */
import { request } from 'node:https'

/** An object of the API, as far as the tests look into it. */
export interface KubernetesObject {
  metadata?: { name?: string; uid?: string }
  status?: { phase?: string }
  /** Of an event. */
  reason?: string
  message?: string
  involvedObject?: { name?: string }
  /** Of a list. */
  items?: KubernetesObject[]
}

/** An answer that is not a success. */
class ApiError extends Error {
  readonly status: number

  constructor(method: string, path: string, status: number, body: string) {
    super(`${method} ${path}: ${status} ${body}`)
    this.status = status
  }
}

export class KubernetesApi {
  readonly #port: number
  readonly #token: string
  readonly #ca: string

  /** @param ca the certificates that the server's own is trusted by, as PEM */
  constructor(port: number, token: string, ca: string) {
    this.#port = port
    this.#token = token
    this.#ca = ca
  }

  get(path: string): Promise<KubernetesObject> {
    return this.#call('GET', path)
  }

  create(path: string, body: object): Promise<KubernetesObject> {
    return this.#call('POST', path, body)
  }

  /** Deletes an object at once, without the time of grace that a pod has. */
  delete(path: string): Promise<KubernetesObject> {
    return this.#call('DELETE', path, { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 })
  }

  /** Whether there is an object at this path. */
  async has(path: string): Promise<boolean> {
    try {
      await this.get(path)
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false
      throw error
    }
  }

  #call(method: string, path: string, body?: object): Promise<KubernetesObject> {
    const bytes = body === undefined ? '' : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const call = request({
        host: '127.0.0.1',
        port: this.#port,
        path,
        method,
        ca: this.#ca,
        headers: {
          authorization: `Bearer ${this.#token}`,
          'content-type': 'application/json',
          // Node sends none of itself with a DELETE.
          'content-length': Buffer.byteLength(bytes),
        },
      })
      call.on('error', reject)
      call.on('response', (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const status = answer.statusCode ?? 0
          if (status >= 300) reject(new ApiError(method, path, status, text))
          else resolve(JSON.parse(text) as KubernetesObject)
        })
      })
      call.end(bytes)
    })
  }
}
