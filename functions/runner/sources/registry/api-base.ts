/** Where the API of a registry is. */

/** Docker Hub's domain in image names. */
export const DOCKER_HUB = 'docker.io'
// Every client has this built in: Docker Hub's API is not at the domain of its images.
const DOCKER_HUB_API = 'registry-1.docker.io'

/** The base URL of a registry's API: HTTPS, or HTTP for a registry on this machine, as docker has it. */
export function apiBase(domain: string): URL {
  const host = domain === DOCKER_HUB ? DOCKER_HUB_API : domain
  const base = new URL(`https://${host}/v2/`)
  if (isLoopback(base)) base.protocol = 'http:'
  return base
}

/** Whether a URL leads to this machine, so that nobody on a network can listen. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
