/** The host names that a server answers to: the binding HOSTS of the Worker. */
import { LayercastError } from '../errors.ts'

/** Stands for every IP address (functions/api/http/allowed-host.ts), for a server that listens on all of the machine's. */
const ANY_ADDRESS = 'any-address'

/**
 * The names that a server answers to, without ports and as URLs write them: those of the loopback, its listen address, and
 * `named`. USAGE for a name that is not a host's.
 */
export function allowedHosts(listen: string, named: readonly string[]): string[] {
  const wildcard = listen === '0.0.0.0' || listen === '::'
  return [
    ...new Set(['localhost', '127.0.0.1', '[::1]', wildcard ? ANY_ADDRESS : nameOf(listen), ...named.map(nameOf)]),
  ]
}

function nameOf(host: string): string {
  const url = URL.parse(`http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}`)
  if (url !== null && url.port === '' && url.href === `http://${url.hostname}/` && url.hostname !== '') {
    return url.hostname
  }
  throw new LayercastError('USAGE', `${JSON.stringify(host)} is not the name of a host`, {
    fix: 'Write the name alone, without scheme, port or path, as in plans.example.com.',
  })
}
