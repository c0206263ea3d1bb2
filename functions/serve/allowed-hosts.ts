import { LayercastError } from '../errors.ts'

/** Where the listen address is every address of the machine, it is asked for by any of them. */
const ANY_ADDRESS = 'any-address'

/**
 * By which names a server may be asked for, without ports and as URLs have them: the loopback's, its listen address, and
 * those that were named. USAGE for what is no host's name.
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
