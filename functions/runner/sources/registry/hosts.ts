/** Which hosts a registry's images come from, by containerd's hosts.toml. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { invalid } from '../errors.ts'
import { apiBase } from './api-base.ts'
import { readHostDirectory, type HostEntry } from './hosts-file.ts'

/** A host that serves a registry's images. */
export interface RegistryHost extends Omit<HostEntry, 'base'> {
  base: URL
  /** The key of its credentials. */
  domain: string
  /** Whether it stands for another registry. A mirror is told for which one. */
  mirror: boolean
}

/**
 * The hosts to ask for a registry's images, in order. As in containerd, the first of the roots that has a directory for the
 * registry (`HOST_PORT_`, `HOST:PORT` or `_default`) counts; without one it is the registry itself. SOURCE_INVALID.
 * @param domain of the registry, as in image names
 */
export async function hostsFor(domain: string, roots: readonly string[]): Promise<RegistryHost[]> {
  const directory = await findDirectory(domain, roots)
  const entries = directory === undefined ? [{ ...DEFAULT_ENTRY }] : await readHostDirectory(directory)
  const own = apiBase(domain)
  return entries.map((entry) => {
    const base = entry.base ?? own
    const mirror = base.host !== own.host
    return Object.assign(entry, { base, mirror, domain: mirror ? base.host : domain })
  })
}

const DEFAULT_ENTRY: HostEntry = {
  base: undefined,
  pull: true,
  resolve: true,
  headers: [],
  tls: undefined,
  dialMs: undefined,
}

async function findDirectory(domain: string, roots: readonly string[]): Promise<string | undefined> {
  const names = [...new Set([domain.replace(/:([^:]*)$/, '_$1_'), domain, '_default'])]
  for (const path of roots.flatMap((root) => names.map((name) => join(root, name)))) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw invalid(path, `cannot be looked into: ${error.message}`, 'Make it readable for this user.', error)
    })
    if (found !== undefined) return path
  }
  return undefined
}
