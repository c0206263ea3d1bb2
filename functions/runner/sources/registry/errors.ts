/** What goes wrong with a registry, in words. */
import { LayercastError } from '../../../errors.ts'
import { documentBody } from './coding.ts'

const BODY_BYTES = 64 << 10

/** REGISTRY_UNREACHABLE: no answer came, or the connection broke too often. */
export function unreachable(url: URL, cause: unknown): LayercastError {
  return new LayercastError('REGISTRY_UNREACHABLE', `registry ${url.host} does not answer: ${innermost(cause)}`, {
    cause,
    fix: isDistrust(cause)
      ? `Name the authority as \`ca\` in /etc/containerd/certs.d/${url.host.replace(/:(.*)$/, '_$1_')}/hosts.toml.`
      : 'Check the name, the network and the proxy settings, and try again.',
    detail: { host: url.host },
  })
}

/** Whether the server's certificate was not accepted. */
function isDistrust(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? ''
  return /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code)
}

/** The innermost cause has the reason. An error of several addresses has a code and no message. */
function innermost(cause: unknown): string {
  let error = cause
  while (error instanceof Error && error.cause instanceof Error) error = error.cause
  return error instanceof Error
    ? error.message || String((error as NodeJS.ErrnoException).code ?? error.name)
    : String(error)
}

/**
 * REGISTRY_FAILED for an answer of the wrong status, with the registry's own error in the message. Reads the body.
 * @param doing what was tried, to follow "cannot"
 */
export async function refused(doing: string, url: URL, response: Response): Promise<LayercastError> {
  const said = await registryErrors(response)
  const because = said === '' ? '' : `: ${said}`
  return new LayercastError('REGISTRY_FAILED', `cannot ${doing}: ${url.host} answers ${response.status}${because}`, {
    fix: fixFor(response.status, url.host),
    detail: { host: url.host, status: response.status },
  })
}

function fixFor(status: number, host: string): string {
  if (status === 401 || status === 403) return `Log in with an account that may pull this image: docker login ${host}`
  if (status === 429) return 'Wait until the registry takes requests again, or log in for a higher limit.'
  return status >= 500 ? 'Try again later, or ask whoever runs the registry.' : 'Check the image name and the registry.'
}

/** The errors of a body as distribution-spec 1.1 ("Error Codes") has them; empty where it has none. */
async function registryErrors(response: Response): Promise<string> {
  const text = await readText(response)
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] }
    const words = errors?.map(({ code, message }) =>
      [code, message].filter((part) => typeof part === 'string').join(' '),
    )
    return printable(words?.join('; ') ?? '')
  } catch (error) {
    // A gateway's HTML page says no more than the status.
    if (error instanceof SyntaxError || error instanceof TypeError) return ''
    throw error
  }
}

const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 500)

/** The beginning of a body, which may be of any length. */
async function readText(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of documentBody(response)) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length >= BODY_BYTES) break
  }
  return text
}
