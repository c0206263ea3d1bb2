// Where images of docker.io really are; every client has these two built in.
const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_API = 'registry-1.docker.io'

/** The base of a registry's API: HTTPS, or HTTP for a registry on this machine, as docker has it. */
export function apiBase(domain: string): URL {
  const host = domain === DOCKER_HUB ? DOCKER_HUB_API : domain
  const base = new URL(`https://${host}/v2/`)
  if (isLoopback(base)) base.protocol = 'http:'
  return base
}

/** The keys under which docker's config.json may have a registry's credentials. */
export function credentialKeys(domain: string): string[] {
  return domain === DOCKER_HUB ? ['https://index.docker.io/v1/', 'index.docker.io', DOCKER_HUB] : [domain]
}

/** The keys of accounts that are for a part of a registry (`host/team/app`, `host/team`), the longest first. */
export function narrowKeys(domain: string, path: string): string[] {
  const parts = path.split('/')
  return parts.map((_, n) => [domain, ...parts.slice(0, parts.length - n)].join('/'))
}

/** Whether a URL leads to this very machine, where there is no line to listen on. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
